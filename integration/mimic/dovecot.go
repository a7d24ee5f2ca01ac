package mimic

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// dovecot checks passwords, and asks and tells Portreeve's auth policy front
// as Dovecot 2.3 does with check_before_auth, check_after_auth and
// report_after_auth.
type dovecot struct {
	users  map[string]string
	client *http.Client
	url    string // empty: no auth policy is configured
	token  string
	ids    counter // of POP3 and IMAP sessions
}

// policyPatience is how long Dovecot waits for its policy server (FACTS.md 2.6).
const policyPatience = 2 * time.Second

func newDovecot(f Fronts, users map[string]string) *dovecot {
	d := &dovecot{users: users, token: f.Token}
	if f.Auth != "" {
		d.url = "http://portreeve/"
	}
	d.client = &http.Client{Timeout: policyPatience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, f.Auth) },
	}}
	return d
}

// parseUsers reads a passwd-file with {PLAIN} passwords.
func parseUsers(file []byte) (map[string]string, error) {
	users, n := map[string]string{}, 0
	for l := range strings.Lines(string(file)) {
		n++
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		f := strings.Split(l, ":")
		password, plain := "", false
		if len(f) > 1 {
			password, plain = strings.CutPrefix(f[1], "{PLAIN}")
		}
		if !plain {
			return nil, fmt.Errorf("line %d of the passwd-file has no {PLAIN} password; write user:{PLAIN}password", n)
		}
		users[f[0]] = password
	}
	return users, nil
}

// attempt is one password check.
type attempt struct {
	protocol       string // the service's name: smtp, submission, pop3, imap
	client         netip.Addr
	login          string
	password       string
	session        string // empty for SMTP (FACTS.md 2.5)
	tls            bool   // always false for SMTP (FACTS.md 2.5)
	reject, passed bool   // by the policy; by the password
}

// verdict is what Dovecot answers. A reason is given for a policy refusal
// only: for a wrong password there is none (FACTS.md 2.2).
type verdict struct {
	ok     bool
	user   string
	reason string
}

// check is one attempt from beginning to end (FACTS.md 2.1).
func (d *dovecot) check(a attempt) verdict {
	if strings.ContainsFunc(a.login, forbidden) || a.login == "" {
		a.login = "" // reported, without an allow before it (FACTS.md 2.5)
		d.report(a)
		return verdict{}
	}
	user := strings.ToLower(a.login) // auth_username_format = %Lu
	if msg, refused := d.allow(a); refused {
		a.reject = true
		d.report(a)
		return verdict{reason: msg}
	}
	if password, known := d.users[user]; !known || password != a.password {
		d.report(a)
		return verdict{}
	}
	if msg, refused := d.allow(a); refused {
		a.reject = true
		d.report(a)
		return verdict{reason: msg}
	}
	a.passed = true
	d.report(a)
	return verdict{ok: true, user: user}
}

// forbidden is what auth_username_chars leaves out.
func forbidden(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(".-_@", r):
		return false
	}
	return true
}

// allow asks. No answer in time, no connection and bad JSON all let the
// attempt go on (FACTS.md 2.6); so does a delay, which is not waited for here.
func (d *dovecot) allow(a attempt) (msg string, refused bool) {
	answer, err := d.post("allow", a)
	if err != nil {
		return "", false
	}
	return answer.Msg, answer.Status < 0
}

// report tells. Dovecot does not wait for the answer, and repeats nothing
// (FACTS.md 2.6, 2.7); it is waited for here, so that a story does not depend
// on who is faster.
func (d *dovecot) report(a attempt) {
	d.post("report", a) //nolint:errcheck,gosec // see above
}

type policyAnswer struct {
	Status int    `json:"status"`
	Msg    string `json:"msg"`
}

// post sends the bodies of fixtures/dovecot-auth-policy.jsonl.
func (d *dovecot) post(command string, a attempt) (answer policyAnswer, err error) {
	if d.url == "" {
		return answer, nil
	}
	remote := "" // FACTS.md 2.5
	if a.client.IsValid() {
		remote = a.client.String()
	}
	hash := sha256.Sum256([]byte(a.login + "\x00" + a.password))
	body := map[string]any{
		"device_id": "", "login": a.login, "protocol": a.protocol, "remote": remote,
		"pwhash": fmt.Sprintf("%04x", (int(hash[0])<<8|int(hash[1]))>>4), "session_id": a.session, "tls": a.tls,
	}
	if command == "report" {
		body["success"], body["policy_reject"] = a.passed, a.reject
	}
	data, err := json.Marshal(body)
	if err != nil {
		return answer, err
	}
	r, err := http.NewRequest(http.MethodPost, d.url+"?command="+command, bytes.NewReader(data))
	if err != nil {
		return answer, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Api-Key", d.token)
	response, err := d.client.Do(r)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if response.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("the auth policy front answered %s", response.Status)
	}
	return answer, json.NewDecoder(response.Body).Decode(&answer)
}
