package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/explain"
	"portreeve/journal"
)

const otherID = "0kHG0AcyIIbExUtW9fWnYa"

// explained is an entry with everything that is shown.
func explained() explain.Explanation {
	return explain.Explanation{
		Entry: journal.Entry{
			ID: someID, Time: noon, Last: noon.Add(time.Minute), Count: 3, Observed: true, Rule: "auth_rejected", Reason: "no-auth-unknown-login",
			Reply: "550 5.1.0 " + someID + " authentication rejected", Client: "192.0.2.7", Port: 587, TLS: true,
			Stage: "mail", Sender: "jan@nova.cz", Recipients: []string{"a@b.cz", "c@d.cz"},
		},
		Lang: explain.Czech, Cause: "a\x1b[31mcause", LastFailedLogin: "jan@nova.cz", Compared: explain.Compared{Text: "this is not that"},
		CustomerCause: "Stalo se to.", Customer: []string{"Type the whole address.", "Try again."},
		Remedies: []explain.Remedy{
			{Text: "Make the account.", File: "/etc/a.toml", Table: "[accounts]", Line: `"jan@nova.cz" = {}`, Command: "portreeve reload"},
			{Text: "Ask\x07him."},
			{Text: "Look.", Command: "portreeve status"},
		},
		Block:  &explain.Block{Text: []string{"one", "two\x1b"}},
		Around: explain.Around{Text: []string{"this before", "that after"}},
	}
}

func TestExplainShows(t *testing.T) {
	atAuth := explain.Explanation{Entry: journal.Entry{
		ID: otherID, Time: noon, Count: 1, Rule: "throttled", Stage: "auth", Client: "unknown", Login: "jan@domena.cz",
	}}
	slow := explain.Explanation{Entry: journal.Entry{ID: otherID, Time: noon, Count: 1, Rule: "login_failures", Stage: "auth"}}
	a := &answers{explain: admin.ExplainAnswer{Found: []explain.Explanation{explained(), atAuth, slow}}}
	status, out, errOut := a.verb(t, "explain", "the text with "+someID)
	expect(t, "explain", out,
		`(?m)^`+someID+`  would have been refused \(observed only\) 2026-11-22 12:00:00 UTC, 3 times until 2026-11-22 12:01:00 UTC$`,
		`(?m)^  rule +auth_rejected \(no-auth-unknown-login\)$`, `(?m)^  cause +a\?\[31mcause$`, `(?m)^  compared +this is not that$`,
		`(?m)^  client +192\.0\.2\.7, port 587, TLS$`,
		`(?m)^  login +- \(last failed login: jan@nova\.cz\)$`, `(?m)^  sender +<jan@nova\.cz>$`, `(?m)^  recipient +a@b\.cz, c@d\.cz$`,
		`(?m)^  failures +one\n +two\?$`, `(?m)^  customer \(cs\) +Stalo se to\.\n +1\. Type the whole address\.\n +2\. Try again\.$`,
		`(?m)^  administrator +1\. Make the account\.\n +In /etc/a\.toml, under \[accounts\], in place of the line with that key:\n +"jan@nova\.cz" = \{\}\n +Run:\n +portreeve reload$`,
		`(?m)^ +2\. Ask\?him\.\n +3\. Look\.\n +Run:\n +portreeve status$`, `(?m)^  around +this before\n +that after$`,
		`(?m)^$`, `(?m)^`+otherID+`  refused 2026-11-22 12:00:00 UTC$`, `(?m)^  client +unknown$`, `(?m)^  login +jan@domena\.cz$`,
		`(?m)^`+otherID+`  delayed 2026-11-22 12:00:00 UTC$`)
	if strings.Count(out, "  sender ") != 1 {
		t.Errorf("a refusal at AUTH has a sender:\n%s", out)
	}
	if status != 0 || errOut != "" {
		t.Errorf("a text with other words: %d %q", status, errOut)
	}
}

// What is asked of the daemon: what the text has, and the flags.
func TestExplainAsks(t *testing.T) {
	a := &answers{explain: admin.ExplainAnswer{Found: []explain.Explanation{explained()}}}
	if status, _, errOut := a.verb(t, "explain", "--lang", "cs", "--since", "2026-11-01", someID+" <jan@nova.cz> sender rejected, 22. 11. 2026 13:00"); status != 0 {
		t.Fatal(errOut)
	}
	r := a.asked[0].(admin.ExplainRequest)
	if r.Lang != explain.Czech || !r.Since.Equal(noon.AddDate(0, 0, -21).Add(-12*time.Hour)) || len(r.IDs) != 1 || r.IDs[0] != someID ||
		len(r.Senders) != 1 || r.Senders[0] != "jan@nova.cz" || len(r.Times) != 1 || !r.Times[0].Equal(noon.Add(time.Hour)) {
		t.Errorf("asked %+v", r)
	}
	for args, want := range map[string]string{
		"--lang fr":         `portreeve: --lang: "fr" is no language of these texts: choose one of cs, de, en, no, pl`,
		"--since yesterday": `portreeve: --since "yesterday" is neither`,
	} {
		status, _, errOut := a.verb(t, append([]string{"explain", someID}, strings.Fields(args)...)...)
		if status != exitFailure || !strings.HasPrefix(errOut, want) {
			t.Errorf("%s: %d %q", args, status, errOut)
		}
	}
}

func TestExplainSaysWhatIsMissing(t *testing.T) {
	missing := explain.Missing{What: otherID, Text: "Another host made it.", Command: "portreeve explain " + otherID}
	a := &answers{explain: admin.ExplainAnswer{Found: []explain.Explanation{explained()}, Missing: []explain.Missing{missing}}}
	want := "portreeve: " + otherID + ": Another host made it. Run: portreeve explain " + otherID + "\n"
	if status, out, errOut := a.verb(t, "explain", someID, otherID); status != exitFinding || errOut != want || !strings.Contains(out, someID) {
		t.Errorf("two ids, one unknown: %d %q", status, errOut)
	}
	if status, _, errOut := a.verb(t, "explain", "a text with "+someID+" and "+otherID); status != exitFinding || errOut != want {
		t.Errorf("in a text: %d %q", status, errOut)
	}
	// A word that only looks like an id is no finding beside one that is.
	a.explain.Missing[0].Doubtful = true
	if status, _, errOut := a.verb(t, "explain", "a text with "+someID+" and "+otherID); status != 0 || errOut != "" {
		t.Errorf("a word in a text: %d %q", status, errOut)
	}
	if status, _, errOut := a.verb(t, "explain", someID, otherID); status != exitFinding || errOut != want {
		t.Errorf("named itself: %d %q", status, errOut)
	}
	a.explain.Found = nil
	if status, out, errOut := a.verb(t, "explain", "a text with "+otherID); status != exitFinding || errOut != want || out != "" {
		t.Errorf("nothing else: %d %q %q", status, out, errOut)
	}
}

func TestExplainShowsAllCandidates(t *testing.T) {
	one := explained()
	one.Candidate, one.Observed = true, false
	a := &answers{explain: admin.ExplainAnswer{Found: []explain.Explanation{one, one}}}
	if _, out, _ := a.verb(t, "explain", "<jan@nova.cz> sender rejected"); !strings.HasPrefix(out, "2 refusals showed this address; compare") || strings.Count(out, "\n"+someID) != 2 {
		t.Errorf("two candidates:\n%s", out)
	}
	a.explain.Found = a.explain.Found[:1]
	if _, out, _ := a.verb(t, "explain", "<jan@nova.cz> sender rejected"); !strings.HasPrefix(out, someID) {
		t.Errorf("one candidate:\n%s", out)
	}
	a.explain.Found[0].Observed = true
	if _, out, _ := a.verb(t, "explain", "<jan@nova.cz> sender rejected"); !strings.HasPrefix(out, "No refusal showed this address. What follows was only observed") {
		t.Errorf("only observed:\n%s", out)
	}
}

func TestExplainJSON(t *testing.T) {
	a := &answers{explain: admin.ExplainAnswer{Found: []explain.Explanation{explained()}}}
	status, out, _ := a.verb(t, "explain", "--json", someID)
	var list []explain.Explanation
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 || len(list) != 1 || list[0].Lang != explain.Czech || list[0].Remedies[0].Line == "" {
		t.Errorf("%d %s: %v", status, out, err)
	}
	status, out, errOut := a.verb(t, "explain", "--json", "no id in this text")
	if status != exitFinding || out != "[]\n" || !strings.Contains(errOut, "no id in this text") {
		t.Errorf("no id: %d %q %q", status, out, errOut)
	}
}

// What is longer is not read in part: the message may stand in the rest.
func TestExplainTakesNoPartOfAText(t *testing.T) {
	a := &answers{}
	a.in = strings.Repeat("x ", maxPaste/2) + someID
	if status, _, errOut := a.verb(t, "explain", "-"); status != exitFailure || !strings.Contains(errOut, "longer than 4 MiB: paste the part") {
		t.Errorf("got %d %q", status, errOut)
	}
}

func TestExplainOfATextThatBeginsWithADash(t *testing.T) {
	a := &answers{explain: admin.ExplainAnswer{Found: []explain.Explanation{explained()}}}
	if status, _, errOut := a.verb(t, "explain", "- 550 "+someID); status != exitFailure || !strings.Contains(errOut, "put -- before a text") {
		t.Errorf("got %d %q", status, errOut)
	}
	if status, _, errOut := a.verb(t, "explain", "--", "- 550 "+someID); status != 0 {
		t.Errorf("got %d %q", status, errOut)
	}
}

// A text of one's own in [replies] is looked for, too.
func TestExplainKnowsTheTextOfTheConfiguration(t *testing.T) {
	a := &answers{
		config:  "[replies]\nsender = { code = 550, enhanced = \"5.1.0\", text = \"<{sender}> is not yours\" }\n",
		explain: admin.ExplainAnswer{Found: []explain.Explanation{explained()}},
	}
	if status, _, errOut := a.verb(t, "explain", "550 5.1.0 <jan@nova.cz> is not yours"); status != 0 {
		t.Fatal(errOut)
	}
	if r := a.asked[0].(admin.ExplainRequest); len(r.Senders) != 1 || r.Senders[0] != "jan@nova.cz" {
		t.Errorf("asked %+v", r)
	}
}
