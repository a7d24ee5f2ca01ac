package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
)

// traffic is who asks the policy service for what.
type traffic struct {
	clients  int     // addresses, of the block that passing has
	accounts int     // logins
	foreign  float64 // the share of requests with a sender of another domain
	known    float64 // the share of requests from addresses of the block of the remembered
	knownOf  int     // how many those are
	blocked  bool    // whether they are refused
	floor    bool    // the answer to everything is DUNNO
}

// Blocks of a million addresses each: the first octet, and those that follow it.
const (
	passing    = 131
	remembered = 141
	reporting  = 151
	journaled  = 161
)

// putAddress writes the i-th address of a block. Its text always has 15
// characters, so that a request can be changed in place.
func putAddress(to []byte, block, i int) {
	to = strconv.AppendInt(to[:0], int64(block), 10)
	for _, unit := range []int{10_000, 100, 1} {
		to = append(to, '.')
		to = strconv.AppendInt(to, int64(100+i/unit%100), 10)
	}
}

const addressLength = len("131.100.100.100")

func address(block, i int) string {
	text := make([]byte, addressLength)
	putAddress(text, block, i)
	return string(text)
}

// Postfix 3.7's attributes at RCPT, in its order. What changes from request to
// request stands between « and ».
const requestForm = `request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=«131.100.100.100»
client_name=dsl-customer-17.access.pilsen.provider.example
client_port=51234
reverse_client_name=dsl-customer-17.access.pilsen.provider.example
server_address=192.0.2.25
server_port=587
helo_name=laptop-of-the-sales-office.lan
sender=«u0000000@d000000.example»
recipient=somebody.with.a.name@customer-of-another-host.example
recipient_count=0
queue_id=
instance=1a2b.6921c3f0.«0000000000000»
size=2048
etrn_domain=
stress=
sasl_method=PLAIN
sasl_username=«u0000000@d000000.example»
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
policy_context=

`

// policyTalk asks as Postfix would.
type policyTalk struct {
	traffic
	random                            *rand.Rand
	request                           []byte
	client, sender, instance, login   []byte // parts of request
	serial                            uint64
	want                              []byte
	passes, refusesSender, refusesAll []byte
}

// conversations makes serials unique in the whole run: equal refusals within a
// minute would share an entry.
var conversations atomic.Uint64

func (t traffic) talk(int) talk {
	number := conversations.Add(1)
	p := &policyTalk{
		traffic: t, random: rand.New(rand.NewPCG(number, 0)), serial: number * 100_000_000,
		passes: []byte("action=DUNNO\n\n"),
	}
	var fields [][2]int
	for i, part := range strings.FieldsFunc(requestForm, func(r rune) bool { return r == '«' || r == '»' }) {
		if i%2 == 1 {
			fields = append(fields, [2]int{len(p.request), len(p.request) + len(part)})
		}
		p.request = append(p.request, part...)
	}
	at := func(i int) []byte { return p.request[fields[i][0]:fields[i][1]:fields[i][1]] }
	p.client, p.sender, p.instance, p.login = at(0), at(1), at(2), at(3)
	return p
}

// next changes the request's fields.
func (p *policyTalk) next() []byte {
	p.serial++
	putNumber(p.instance, p.serial)
	known := p.known > 0 && p.random.Float64() < p.known
	if known {
		putAddress(p.client, remembered, p.random.IntN(p.knownOf))
	} else {
		putAddress(p.client, passing, p.random.IntN(p.clients))
	}
	who := p.random.IntN(p.accounts)
	putNumber(p.login[1:8], uint64(who))
	putNumber(p.login[10:16], uint64(who%domains(p.accounts)))
	copy(p.sender, p.login)
	foreign := p.foreign > 0 && p.random.Float64() < p.foreign
	if foreign { // x1234567@f890123.example is unique
		p.sender[0], p.sender[9] = 'x', 'f'
		putNumber(p.sender[1:8], p.serial/1_000_000)
		putNumber(p.sender[10:16], p.serial%1_000_000)
	}
	switch {
	case p.floor:
		p.want = p.passes
	case known && p.blocked:
		p.want = p.blockedAnswer()
	case foreign:
		p.want = append(p.refusesSender[:0], "action=550 5.1.0 <"...)
		p.want = append(append(p.want, p.sender...), "> sender rejected\n\n"...)
		p.refusesSender = p.want
	default:
		p.want = p.passes
	}
	return p.request
}

// blockedAnswer is what follows the id in a blocked client's answer.
func (p *policyTalk) blockedAnswer() []byte {
	p.refusesAll = append(p.refusesAll[:0], " Connection refused from "...)
	p.refusesAll = append(append(p.refusesAll, p.client...), ". Too many authorization failures from this IP, try again later.\n\n"...)
	return p.refusesAll
}

// check implements talk.
func (p *policyTalk) check(answer []byte) (bool, error) {
	if !bytes.HasSuffix(answer, []byte("\n\n")) {
		return false, nil
	}
	const before = "action=550 5.1.0 0l0tkyxd13Vm67WNY4Cw6K"
	got := answer
	if p.want[0] == ' ' && len(answer) > len(before) {
		got = answer[len(before):]
	}
	if !bytes.Equal(got, p.want) && !bytes.EqualFold(got, p.want) { // a peer may say dunno
		return false, fmt.Errorf("%q where %q was due, to %q", answer, p.want, p.request)
	}
	return true, nil
}

// putNumber fills to with the number's last digits.
func putNumber(to []byte, n uint64) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = byte('0' + n%10)
		n /= 10
	}
}
