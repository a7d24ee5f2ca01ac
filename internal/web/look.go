package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"portreeve/internal/admin"
	"portreeve/internal/explain"
	"portreeve/internal/paste"
)

const (
	// senderSince is how far back a rejected sender is looked for whose reply had
	// no id.
	senderSince = 7 * 24 * time.Hour
	// maxIDs and maxSenders bound what one text may ask for: an answer is a link.
	maxIDs     = 20
	maxSenders = 5
	// maxTimes bounds the times that stand near senders.
	maxTimes = 4
	// maxSubject is more than any address or login has, in bytes.
	maxSubject = 512
	// maxNames bounds the addresses and logins that are picked from a text.
	maxNames = 10
)

// lookData is the page with explanations, or without: a text in which there is
// nothing to look up.
type lookData struct {
	frame
	Answer   part[admin.ExplainAnswer]
	ByLang   map[string]string // links to the same in another language
	Back     string
	Lifted   string   // what has just been unblocked
	Names    []string // that stand in a text without an id
	Cut      bool     // the text had more than was looked up
	LookedUp bool
}

// search takes the search box. What is found becomes a link, so that the page
// can be reloaded, sent to a colleague and shown in another language.
func (d *desk) search(w http.ResponseWriter, r *http.Request) {
	text := strings.ReplaceAll(r.PostForm.Get("text"), "\r\n", "\n")
	found := paste.FindIn(text, d.Reply(), d.Zone)
	values := url.Values{"lang": {string(chosenLang(r))}}
	switch subject := subjectOf(text); {
	case len(found.IDs)+len(found.Senders) > 0:
		values["id"] = found.IDs[:min(len(found.IDs), maxIDs)]
		values["sender"] = found.Senders[:min(len(found.Senders), maxSenders)]
		for _, at := range found.Times[:min(len(found.Times), maxTimes)] {
			values.Add("at", at.UTC().Format(time.RFC3339))
		}
		if strings.Join(strings.Fields(text), "") != strings.Join(found.IDs, "") {
			values.Set("in", "text")
		}
		if len(found.IDs) > maxIDs || len(found.Senders) > maxSenders {
			values.Set("cut", "yes")
		}
	case subject != "":
		values.Set("q", subject)
	default:
		d.nothingIn(w, r, text)
		return
	}
	redirect(w, "look?"+values.Encode())
}

// nothingIn answers a text without an id: with the addresses in it, if it has any.
func (d *desk) nothingIn(w http.ResponseWriter, r *http.Request, text string) {
	data := lookData{frame: d.frame(r, "Nothing found"), Names: namesIn(text)}
	data.Text, data.Box = text, true
	d.render(w, http.StatusOK, "look", data)
}

// look shows what a link names.
func (d *desk) look(w http.ResponseWriter, r *http.Request) {
	if q := strings.TrimSpace(r.Form.Get("q")); q != "" && len(q) <= maxSubject {
		d.subject(w, r, q)
		return
	}
	ids, senders := r.Form["id"], r.Form["sender"]
	if len(ids)+len(senders) == 0 {
		redirect(w, "./")
		return
	}
	f := d.frame(r, "What happened")
	request := admin.ExplainRequest{
		IDs: ids[:min(len(ids), maxIDs)], Senders: senders[:min(len(senders), maxSenders)],
		Since: d.Now().Add(-senderSince), Times: timesOf(r.Form["at"]), Lang: f.Lang,
	}
	data := lookData{
		frame: f, LookedUp: true, Back: relative(r), Lifted: d.lifted(r), ByLang: languages(r),
		Cut: r.Form.Get("cut") != "" || len(ids) > maxIDs || len(senders) > maxSenders,
	}
	data.Answer = partOf[admin.ExplainAnswer](d, r)(d.Backend.Explain(r.Context(), request))
	if len(data.Answer.Value.Found) > 0 && r.Form.Get("in") == "text" {
		// Other words of a pasted text that only look like ids.
		data.Answer.Value.Missing = slices.DeleteFunc(data.Answer.Value.Missing, func(m explain.Missing) bool { return m.Doubtful })
	}
	if len(data.Answer.Value.Found) > 0 {
		data.Title = data.Answer.Value.Found[0].Title
	}
	d.render(w, http.StatusOK, "look", data)
}

// timesOf reads the times of a link.
func timesOf(texts []string) []time.Time {
	var list []time.Time
	for _, text := range texts[:min(len(texts), maxTimes)] {
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			list = append(list, t)
		}
	}
	return list
}

// subjectOf is the one word of a text: an address, a network, a login or a
// sender; "" for a longer text. Mail programs put invisible marks around the
// addresses that people copy from them.
func subjectOf(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text)
	word := strings.Trim(strings.TrimSpace(text), "<>[]()\"',;.")
	word = strings.TrimPrefix(word, "mailto:")
	if strings.ContainsAny(word, " \t\r\n") || len(word) > maxSubject {
		return ""
	}
	return word
}

// namesIn picks what could be looked up from a text: IP addresses and mail
// addresses, each once.
func namesIn(text string) []string {
	var names []string
	apart := func(r rune) bool { return strings.ContainsRune(" \t\r\n<>[](){}\"',;=|", r) }
	for word := range strings.FieldsFuncSeq(text, apart) {
		word = strings.Trim(word, ".:!?")
		_, err := netip.ParseAddr(word)
		local, domain, mail := strings.Cut(word, "@")
		mail = mail && local != "" && strings.Contains(domain, ".") && !strings.Contains(domain, "@")
		if err != nil && !mail || len(word) > maxSubject || slices.Contains(names, word) {
			continue
		}
		if names = append(names, word); len(names) == maxNames {
			break
		}
	}
	return names
}

// languages are links to the same page in each language.
func languages(r *http.Request) map[string]string {
	links := map[string]string{}
	for _, l := range explain.Langs {
		links[string(l.Lang)] = withQuery(relative(r), "lang", string(l.Lang))
	}
	return links
}
