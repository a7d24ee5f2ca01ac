package tomlfile

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Decode fills in what the struct pointer has fields for and leaves the other
// fields as they are, so that defaults stand there before. It reports every
// unknown key and every value of a wrong type, in the order of the lines.
//
// A field's key is its toml tag, or its name in lower case; "-" is no key.
// Strings, booleans, integers, slices, structs, pointers to them and maps with
// string keys are known; so are time.Duration, Size and the types of texts.
// A list replaces its default; the entries of a map are added to it.
func (d *Document) Decode(into any, texts ...Text) []Problem {
	dec := &decoder{doc: d, texts: map[reflect.Type]Text{}, root: reflect.TypeOf(into).Elem()}
	for _, t := range slices.Concat(builtin, texts) {
		dec.texts[t.typ] = t
	}
	dec.table(d.data, reflect.ValueOf(into).Elem())
	Sort(dec.problems)
	return dec.problems
}

// decoder is one walk over a document and the struct for it.
type decoder struct {
	doc      *Document
	texts    map[reflect.Type]Text
	root     reflect.Type
	at       Path
	entry    int // where in at the name of the innermost map entry stands; 0: in none
	problems []Problem
}

func (dec *decoder) problem(what, remedy string) {
	dec.problems = append(dec.problems, dec.doc.Problem(what, remedy, slices.Clone(dec.at)...))
}

// below runs f one step further down.
func (dec *decoder) below(step string, f func()) {
	dec.at = append(dec.at, step)
	f()
	dec.at = dec.at[:len(dec.at)-1]
}

// value decodes one value of any type.
func (dec *decoder) value(v any, into reflect.Value) {
	if text, ok := dec.texts[into.Type()]; ok {
		dec.text(v, into, text)
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		if into.IsNil() {
			into.Set(reflect.New(into.Type().Elem()))
		}
		dec.value(v, into.Elem())
	case reflect.Struct:
		dec.structure(v, into)
	case reflect.Map:
		dec.mapping(v, into)
	case reflect.Slice:
		dec.list(v, into)
	default:
		dec.scalar(v, into)
	}
}

func (dec *decoder) structure(v any, into reflect.Value) {
	if table, ok := v.(map[string]any); ok {
		dec.table(table, into)
		return
	}
	dec.wrongType(v, "a table", "write a table, as in ["+dec.at.String()+"], and its keys below it")
}

func (dec *decoder) table(table map[string]any, into reflect.Value) {
	for key, v := range table {
		dec.below(key, func() {
			if i := fieldOf(into.Type(), key); i >= 0 {
				dec.value(v, into.Field(i))
				return
			}
			p := dec.doc.unknown(slices.Clone(dec.at), keysOf(into.Type()), homes(dec.root, key))
			if name := dec.splitName(v); name != "" && Nearest(key, keysOf(into.Type())) == "" {
				p.Remedy = "if it is one name, put it in double quotes: " + strconv.Quote(name)
			}
			dec.problems = append(dec.problems, p)
		})
	}
}

// splitName recognises example.com = {} below a map, which TOML reads as the key
// com of a table example: it returns the name that was probably meant.
func (dec *decoder) splitName(v any) string {
	if dec.entry == 0 {
		return ""
	}
	name := slices.Clone(dec.at[dec.entry:])
	for {
		table, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		if len(table) != 1 {
			return strings.Join(name, ".")
		}
		for key, below := range table {
			if _, ok := below.(map[string]any); !ok {
				return strings.Join(name, ".")
			}
			name, v = append(name, key), below
		}
	}
}

func (dec *decoder) mapping(v any, into reflect.Value) {
	table, ok := v.(map[string]any)
	if !ok {
		dec.wrongType(v, "a table", "write a table, as in ["+dec.at.String()+"], and its keys below it")
		return
	}
	if into.IsNil() {
		into.Set(reflect.MakeMapWithSize(into.Type(), len(table)))
	}
	outer := dec.entry
	dec.entry = len(dec.at)
	defer func() { dec.entry = outer }()
	for key, v := range table {
		dec.below(key, func() {
			k := reflect.ValueOf(key).Convert(into.Type().Key())
			elem := reflect.New(into.Type().Elem()).Elem()
			if old := into.MapIndex(k); old.IsValid() {
				elem.Set(old)
			}
			dec.value(v, elem)
			into.SetMapIndex(k, elem)
		})
	}
}

func (dec *decoder) list(v any, into reflect.Value) {
	var entries []any
	switch v := v.(type) {
	case []any:
		entries = v
	case []map[string]any: // how the parser gives an array of tables
		for _, table := range v {
			entries = append(entries, table)
		}
	default:
		remedy := "write a list in square brackets"
		if s, ok := literal(v); ok {
			remedy = "put it in square brackets: " + dec.last() + " = [" + s + "]"
		}
		dec.wrongType(v, "a list", remedy)
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(entries), len(entries)))
	for i, entry := range entries {
		dec.below(Index(i), func() { dec.value(entry, into.Index(i)) })
	}
}

func (dec *decoder) text(v any, into reflect.Value, text Text) {
	s, ok := v.(string)
	if !ok {
		dec.wrongType(v, text.name, "write one in double quotes, such as "+strconv.Quote(text.example))
		return
	}
	parsed, err := text.parse(s)
	if err == nil {
		into.Set(reflect.ValueOf(parsed))
		return
	}
	what, remedy := "is not "+text.name+" ("+err.Error()+")", "write one such as "+strconv.Quote(text.example)
	var m *Mistake
	if errors.As(err, &m) {
		what, remedy = m.What, m.Remedy
	}
	dec.problem(dec.at.String()+" = "+quote(s)+" "+what, remedy)
}

// scalar decodes strings, booleans and integers.
func (dec *decoder) scalar(v any, into reflect.Value) {
	switch kind := into.Kind(); {
	case kind == reflect.String:
		if s, ok := v.(string); ok {
			into.SetString(s)
			return
		}
		remedy := "write text in double quotes"
		if s, ok := literal(v); ok {
			remedy = "put it in double quotes: " + strconv.Quote(s)
		}
		dec.wrongType(v, "text", remedy)
	case kind == reflect.Bool:
		if b, ok := v.(bool); ok {
			into.SetBool(b)
			return
		}
		dec.wrongType(v, "true or false", "write true or false, without quotes")
	default:
		dec.integer(v, into)
	}
}

func (dec *decoder) integer(v any, into reflect.Value) {
	n, ok := v.(int64)
	if !ok {
		remedy := "write a whole number, without quotes"
		if s, isText := v.(string); isText {
			if _, err := strconv.Atoi(s); err == nil {
				remedy = "leave out the quotes: " + s
			}
		}
		dec.wrongType(v, "a whole number", remedy)
		return
	}
	low, high := limits(into.Type())
	if n < low || n > high {
		dec.problem(dec.at.String()+" = "+strconv.FormatInt(n, 10)+" is out of range",
			"write a number from "+strconv.FormatInt(low, 10)+" to "+strconv.FormatInt(high, 10))
		return
	}
	if into.CanUint() {
		into.SetUint(uint64(n))
		return
	}
	into.SetInt(n)
}

// limits is the range of an integer type, as far as TOML's integers reach.
func limits(t reflect.Type) (low, high int64) {
	switch t.Kind() {
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return 0, 1<<t.Bits() - 1
	case reflect.Uint, reflect.Uint64:
		return 0, 1<<63 - 1
	default:
		return -1 << (t.Bits() - 1), 1<<(t.Bits()-1) - 1
	}
}

func (dec *decoder) wrongType(v any, want, remedy string) {
	dec.problem(dec.at.String()+" is "+describe(v)+", not "+want, remedy)
}

// last is the key itself, without the tables around it.
func (dec *decoder) last() string {
	return quoteKey(dec.at[len(dec.at)-1])
}

// fieldOf is the index of the field for a key, or -1.
func fieldOf(t reflect.Type, key string) int {
	for i := range t.NumField() {
		if k := keyOf(t.Field(i)); k == key && k != "" {
			return i
		}
	}
	return -1
}

// keyOf is the key of a field, or nothing.
func keyOf(f reflect.StructField) string {
	tag, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	switch {
	case tag == "-" || !f.IsExported():
		return ""
	case tag != "":
		return tag
	}
	return strings.ToLower(f.Name)
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if k := keyOf(t.Field(i)); k != "" {
			keys = append(keys, k)
		}
	}
	return keys
}

// homes lists the tables of the whole file that have such a key.
func homes(t reflect.Type, key string) []string {
	found := map[string]bool{}
	var walk func(t reflect.Type, at Path)
	walk = func(t reflect.Type, at Path) {
		for i := range t.NumField() {
			f := t.Field(i)
			if k := keyOf(f); k != "" {
				if k == key && len(at) > 0 {
					found[at.String()] = true
				}
				if f.Type.Kind() == reflect.Struct {
					walk(f.Type, append(slices.Clone(at), k))
				}
			}
		}
	}
	walk(t, nil)
	return slices.Sorted(maps.Keys(found))
}
