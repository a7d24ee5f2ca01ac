package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// reportTalk tells of failed logins as Dovecot does.
type reportTalk struct {
	clients, block, accounts int
	one                      int // the i-th client of one only, and then the next; -1: at random
	repeat                   int // reports of one client
	random                   *rand.Rand
	request                  []byte
}

// reportForm has a body of constant length, so that it is written once.
const reportForm = "POST /?command=report HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\nX-Api-Key: " + token +
	"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

func (r *reportTalk) next() []byte {
	client := r.one / max(1, r.repeat)
	if r.one < 0 {
		client = r.random.IntN(r.clients)
	} else {
		r.one++
	}
	body := fmt.Sprintf(`{"device_id":"","login":%q,"protocol":"submission","pwhash":"%04x","remote":%q,"session_id":"","success":false,"policy_reject":false,"tls":false}`,
		account(r.random.IntN(r.accounts), r.accounts), r.random.IntN(1<<16), address(r.block, client))
	r.request = fmt.Appendf(r.request[:0], reportForm, len(body), body)
	return r.request
}

// check implements talk.
func (r *reportTalk) check(answer []byte) (bool, error) {
	head, body, whole := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !whole || !bytes.HasSuffix(body, []byte("}\n")) {
		return false, nil
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || string(body) != "{\"status\":0,\"msg\":\"\"}\n" {
		return false, fmt.Errorf("%q", answer)
	}
	return true, nil
}

// reports are failures of random clients.
func reports(block, clients, accounts int) func(int) talk {
	return func(int) talk {
		return &reportTalk{
			clients: clients, block: block, accounts: accounts, one: -1,
			random: rand.New(rand.NewPCG(conversations.Add(1), 0)),
		}
	}
}
