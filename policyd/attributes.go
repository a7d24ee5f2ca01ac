package policyd

import (
	"bytes"
	"errors"
	"fmt"
)

// MaxRequest is the length of a request in bytes, its empty line included,
// above which it is malformed (SPEC.md section 10).
const MaxRequest = 64 << 10

// Why a request is malformed.
var (
	errNoRequest = errors.New("no request=smtpd_access_policy")
	errNoEqual   = errors.New("a line without =")
	errNUL       = errors.New("a NUL byte")
	errCR        = errors.New("a CR byte")
	errTooLong   = fmt.Errorf("longer than %d bytes", MaxRequest)
	errCutShort  = errors.New("the connection ended before the empty line")
	errSlow      = errors.New("it did not come to its end in time")
)

// attribute is the place of an attribute that Postfix is known to send
// (https://www.postfix.org/SMTPD_POLICY_README.html, Postfix 3.10). Those that
// nobody reads have a place all the same: it is the cheapest way to find that two
// of a name contradict each other.
type attribute uint8

const (
	attrRequest attribute = iota
	attrProtocolState
	attrPolicyContext
	attrClientAddress
	attrServerPort
	attrHeloName
	attrSASLUsername
	attrEncryptionProtocol
	attrSender
	attrRecipient
	attrQueueID
	attrInstance
	attrRecipientCount

	attrProtocolName
	attrClientName
	attrClientPort
	attrReverseClientName
	attrServerAddress
	attrSize
	attrETRNDomain
	attrStress
	attrSASLMethod
	attrSASLSender
	attrCertSubject
	attrCertIssuer
	attrCertFingerprint
	attrCertKeyFingerprint
	attrEncryptionCipher
	attrEncryptionKeySize
	attrCompatibilityLevel
	attrMailVersion

	attributeCount
)

var attributeNames = [attributeCount]string{
	attrRequest:            "request",
	attrProtocolState:      "protocol_state",
	attrPolicyContext:      "policy_context",
	attrClientAddress:      "client_address",
	attrServerPort:         "server_port",
	attrHeloName:           "helo_name",
	attrSASLUsername:       "sasl_username",
	attrEncryptionProtocol: "encryption_protocol",
	attrSender:             "sender",
	attrRecipient:          "recipient",
	attrQueueID:            "queue_id",
	attrInstance:           "instance",
	attrRecipientCount:     "recipient_count",
	attrProtocolName:       "protocol_name",
	attrClientName:         "client_name",
	attrClientPort:         "client_port",
	attrReverseClientName:  "reverse_client_name",
	attrServerAddress:      "server_address",
	attrSize:               "size",
	attrETRNDomain:         "etrn_domain",
	attrStress:             "stress",
	attrSASLMethod:         "sasl_method",
	attrSASLSender:         "sasl_sender",
	attrCertSubject:        "ccert_subject",
	attrCertIssuer:         "ccert_issuer",
	attrCertFingerprint:    "ccert_fingerprint",
	attrCertKeyFingerprint: "ccert_pubkey_fingerprint",
	attrEncryptionCipher:   "encryption_cipher",
	attrEncryptionKeySize:  "encryption_keysize",
	attrCompatibilityLevel: "compatibility_level",
	attrMailVersion:        "mail_version",
}

var attributesByName = func() map[string]attribute {
	m := make(map[string]attribute, attributeCount)
	for i, name := range attributeNames {
		m[name] = attribute(i)
	}
	return m
}()

// attributes is one parsed request. The values are parts of the connection's
// buffer, valid until its next read.
type attributes struct {
	in     []byte
	values [attributeCount]span
	others names
	order  [attributeCount]attribute // that of the latest request's lines
	kept   []byte                    // see fill
}

// span is a value's place in the request; its end is 0 where there is none.
type span struct{ begin, end uint32 }

func (a *attributes) value(i attribute) []byte { return a.in[a.values[i].begin:a.values[i].end] }

// parse reads the request at the front of in, which ends within it: lines of
// name=value, each ended by LF, and an empty one. It returns its length. The last
// of equal names counts, and it must not contradict the others. Control characters
// other than NUL and CR come from clients, which Postfix passes on; they are values
// like any other.
func (a *attributes) parse(in []byte) (n int, err error) {
	a.in = in
	a.values = [attributeCount]span{}
	a.others.reset()
	for line := 0; in[n] != '\n'; line++ {
		end := n + bytes.IndexByte(in[n:], '\n')
		i, length := a.name(line, in[n:end])
		if length < 0 {
			return 0, errNoEqual
		}
		if a.contradicts(i, n, n+length, end) {
			return 0, fmt.Errorf("contradicting values of %q", in[n:n+length])
		}
		n = end + 1
	}
	n++
	switch {
	case bytes.IndexByte(in[:n], 0) >= 0:
		return 0, errNUL
	case bytes.IndexByte(in[:n], '\r') >= 0:
		return 0, errCR
	case string(a.value(attrRequest)) != "smtpd_access_policy":
		return 0, errNoRequest
	}
	return n, nil
}

// name tells which attribute the text of a line is, attributeCount for an unknown
// one, and the length of its name, -1 without a =. Postfix sends its attributes in
// the same order each time, so that of the latest request is tried first.
func (a *attributes) name(line int, text []byte) (i attribute, length int) {
	if line < len(a.order) {
		i = a.order[line]
		if expected := attributeNames[i]; len(text) > len(expected) && text[len(expected)] == '=' && string(text[:len(expected)]) == expected {
			return i, len(expected)
		}
	}
	if length = bytes.IndexByte(text, '='); length < 0 {
		return attributeCount, length
	}
	i, known := attributesByName[string(text[:length])]
	if !known {
		return attributeCount, length
	}
	if line < len(a.order) {
		a.order[line] = i
	}
	return i, length
}

// contradicts takes the attribute whose name begins a line, and tells whether it
// came before with another value.
func (a *attributes) contradicts(i attribute, begin, equal, end int) bool {
	if i == attributeCount {
		return a.others.contradicts(a.in, begin, equal, end)
	}
	before, now := a.values[i], span{uint32(equal + 1), uint32(end)}
	a.values[i] = now
	return before.end != 0 && !bytes.Equal(a.in[before.begin:before.end], a.in[now.begin:now.end])
}
