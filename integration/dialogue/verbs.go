package dialogue

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// headers are the lines before the first step.
var headers = map[string]func(s *Settings, rest string) error{
	"set":    parseSet,
	"only":   parseOnly,
	"recipe": parseRecipe,
}

var settingKey = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)

func parseSet(s *Settings, rest string) error {
	key, value, ok := strings.Cut(rest, "=")
	key = strings.TrimSpace(key)
	if !ok || !settingKey.MatchString(key) {
		return fmt.Errorf("%q is no setting; write `set KEY = VALUE` as in portreeve.toml, the key dotted", rest)
	}
	if _, twice := s.Portreeve[key]; twice {
		return fmt.Errorf("%s is set twice; keep one", key)
	}
	var v struct{ V any }
	if err := toml.Unmarshal([]byte("V = "+strings.TrimSpace(value)), &v); err != nil {
		return fmt.Errorf("the value of %s is not TOML: %w; strings need quotes", key, err)
	}
	s.Portreeve[key] = v.V
	return nil
}

func parseOnly(s *Settings, rest string) error {
	if rest != OnlyReal && rest != OnlyStandIn {
		return fmt.Errorf("only %q; write `only real` or `only stand-in`", rest)
	}
	s.Only = rest
	return nil
}

func parseRecipe(s *Settings, rest string) error {
	if rest == "" || strings.ContainsAny(rest, " /") {
		return fmt.Errorf("recipe %q; write the name of one recipe of contrib/postfix", rest)
	}
	s.Recipe = rest
	return nil
}

// args is what follows a step's first word.
type args struct {
	word, rest string
	block      []line
}

// verb is how one kind of step is read.
type verb struct {
	conn  bool // acts on a connection
	block bool // is followed by an indented block
	parse func(p *parser, a args) (Action, error)
}

var verbs map[string]verb

// The table is filled here because repeat leads back to it.
func init() {
	verbs = map[string]verb{
		"from":      {conn: true, parse: parseFrom},
		">":         {conn: true, parse: parseSend},
		"<":         {conn: true, parse: parsePattern(func(t Pattern) Action { return Expect{t} })},
		"<-":        {conn: true, parse: parsePattern(func(t Pattern) Action { return Among{Pattern: t} })},
		"<!":        {conn: true, parse: parsePattern(func(t Pattern) Action { return Among{Pattern: t, Absent: true} })},
		"starttls":  {conn: true, parse: plain(StartTLS{})},
		"tls":       {conn: true, parse: plain(TLS{})},
		"auth":      {conn: true, parse: parseAuth},
		"login":     {conn: true, parse: parseLogin},
		"message":   {conn: true, block: true, parse: parseMessage},
		"hangup":    {conn: true, parse: plain(Hangup{})},
		"closed":    {conn: true, parse: plain(Closed{})},
		"wait":      {parse: parseWait},
		"accounts":  {block: true, parse: parseAccounts},
		"directory": {parse: parseDirectory},
		"portreeve": {parse: parseVerb},
		"|":         {parse: parsePattern(func(t Pattern) Action { return Printed{Pattern: t} })},
		"|!":        {parse: parsePattern(func(t Pattern) Action { return Printed{Pattern: t, Stderr: true} })},
		"restart":   {parse: plain(Restart{})},
		"kill":      {parse: plain(Restart{Kill: true})},
		"repeat":    {block: true, parse: parseRepeat},
	}
}

// verbWord takes the exit status off `portreeve[1]`.
func verbWord(word string) string {
	if strings.HasPrefix(word, "portreeve[") {
		return "portreeve"
	}
	return word
}

func plain(a Action) func(*parser, args) (Action, error) {
	return func(_ *parser, a2 args) (Action, error) {
		if a2.rest != "" {
			return nil, fmt.Errorf("%s stands alone; take %q out", a2.word, a2.rest)
		}
		return a, nil
	}
}

func parsePattern(action func(Pattern) Action) func(*parser, args) (Action, error) {
	return func(p *parser, a args) (Action, error) {
		t, err := ParsePattern(a.rest)
		if err != nil {
			return nil, err
		}
		kept, compared := t.names()
		for _, name := range compared {
			if !p.ids[name] {
				return nil, fmt.Errorf("no id was kept as %q before; write {id:%s} where it appears first", name, name)
			}
		}
		for _, name := range kept {
			p.ids[name] = true
		}
		return action(t), nil
	}
}

func parseFrom(_ *parser, a args) (Action, error) {
	f := strings.Fields(a.rest)
	if len(f) != 3 || f[1] != "to" {
		return nil, errors.New("write `from ADDRESS to PORT`")
	}
	from, err := netip.ParseAddr(f[0])
	if err != nil {
		return nil, fmt.Errorf("reading the client address: %w; write a plain IP address", err)
	}
	port, err := strconv.ParseUint(f[2], 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("%q is no port; write one of 25, 587, 465, 110, 995, 143, 993", f[2])
	}
	return Dial{From: from, Port: int(port)}, nil
}

func parseSend(_ *parser, a args) (Action, error) {
	text, err := unescape(a.rest)
	return Send{text}, err
}

func parseAuth(_ *parser, a args) (Action, error) {
	w, err := words(a.rest)
	if err != nil {
		return nil, err
	}
	switch {
	case len(w) == 3 && (w[0] == "login" || w[0] == "plain"):
		return Auth{strings.ToUpper(w[0]), w[1], w[2]}, nil
	case len(w) == 2:
		return Auth{"PLAIN", w[0], w[1]}, nil
	}
	return nil, errors.New("write `auth USER PASSWORD` or `auth login USER PASSWORD`")
}

func parseLogin(_ *parser, a args) (Action, error) {
	w, err := words(a.rest)
	if err != nil {
		return nil, err
	}
	if len(w) != 2 {
		return nil, errors.New("write `login USER PASSWORD`")
	}
	return Login{w[0], w[1]}, nil
}

func parseMessage(_ *parser, a args) (Action, error) {
	var m Message
	for _, l := range a.block {
		text, err := unescape(l.text)
		if err != nil {
			return nil, fmt.Errorf("line %d of the message: %w", l.number, err)
		}
		m.Lines = append(m.Lines, text)
	}
	return m, nil
}

func parseWait(_ *parser, a args) (Action, error) {
	d, err := time.ParseDuration(a.rest)
	if err != nil || d <= 0 {
		return nil, fmt.Errorf("%q is no time to wait; write for example `wait 20s`", a.rest)
	}
	return Wait{d}, nil
}

func parseAccounts(_ *parser, a args) (Action, error) {
	var b strings.Builder
	for _, l := range a.block {
		b.WriteString(l.text + "\n")
	}
	var any map[string]any
	if err := toml.Unmarshal([]byte(b.String()), &any); err != nil {
		return nil, fmt.Errorf("the accounts are not TOML: %w", err)
	}
	return Accounts{b.String()}, nil
}

func parseDirectory(p *parser, a args) (Action, error) {
	if a.rest != "fails" && a.rest != "answers" {
		return nil, fmt.Errorf("%q; write `directory fails` or `directory answers`", a.rest)
	}
	if p.story.Settings.Only != OnlyStandIn {
		return nil, errors.New("accounts.toml never fails on a real host; write `only stand-in` above the first step")
	}
	return Directory{Answers: a.rest == "answers"}, nil
}

var verbExit = regexp.MustCompile(`^portreeve(?:\[([0-9]{1,3})\])?$`)

func parseVerb(p *parser, a args) (Action, error) {
	m := verbExit.FindStringSubmatch(a.word)
	if m == nil {
		return nil, fmt.Errorf("%q; write `portreeve ARGS` or `portreeve[1] ARGS` for exit status 1", a.word)
	}
	v := Verb{}
	if m[1] != "" {
		exit, err := strconv.ParseUint(m[1], 10, 8)
		if err != nil {
			return nil, fmt.Errorf("exit status %s is not between 0 and 255", m[1])
		}
		v.Exit = int(exit)
	}
	w, err := words(a.rest)
	if err != nil {
		return nil, err
	}
	if len(w) == 0 {
		return nil, errors.New("write the verb and its arguments after `portreeve`")
	}
	for _, word := range w {
		for _, m := range idNamed.FindAllStringSubmatch(word, -1) {
			if !p.ids[m[1]] {
				return nil, fmt.Errorf("no id was kept as %s before; write {id:%s} where it appears", m[0], m[1])
			}
		}
	}
	v.Args = w
	return v, nil
}

func parseRepeat(p *parser, a args) (Action, error) {
	n, err := strconv.Atoi(a.rest)
	if err != nil || n < 2 || n > 1000 {
		return nil, fmt.Errorf("%q is no number of times; write 2 to 1000", a.rest)
	}
	return Repeat{Times: n, Steps: p.steps(a.block)}, nil
}
