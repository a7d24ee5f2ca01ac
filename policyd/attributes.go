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
type attribute int

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

// known tells which attribute a name is; the compiler makes string(name) free.
func known(name []byte) (attribute, bool) {
	switch string(name) {
	case "request":
		return attrRequest, true
	case "protocol_state":
		return attrProtocolState, true
	case "policy_context":
		return attrPolicyContext, true
	case "client_address":
		return attrClientAddress, true
	case "server_port":
		return attrServerPort, true
	case "helo_name":
		return attrHeloName, true
	case "sasl_username":
		return attrSASLUsername, true
	case "encryption_protocol":
		return attrEncryptionProtocol, true
	case "sender":
		return attrSender, true
	case "recipient":
		return attrRecipient, true
	case "queue_id":
		return attrQueueID, true
	case "instance":
		return attrInstance, true
	case "recipient_count":
		return attrRecipientCount, true
	default:
		return unread(name)
	}
}

// unread is known for the attributes that nobody reads.
func unread(name []byte) (attribute, bool) {
	switch string(name) {
	case "protocol_name":
		return attrProtocolName, true
	case "client_name":
		return attrClientName, true
	case "client_port":
		return attrClientPort, true
	case "reverse_client_name":
		return attrReverseClientName, true
	case "server_address":
		return attrServerAddress, true
	case "size":
		return attrSize, true
	case "etrn_domain":
		return attrETRNDomain, true
	case "stress":
		return attrStress, true
	case "sasl_method":
		return attrSASLMethod, true
	case "sasl_sender":
		return attrSASLSender, true
	case "ccert_subject":
		return attrCertSubject, true
	case "ccert_issuer":
		return attrCertIssuer, true
	case "ccert_fingerprint":
		return attrCertFingerprint, true
	case "ccert_pubkey_fingerprint":
		return attrCertKeyFingerprint, true
	case "encryption_cipher":
		return attrEncryptionCipher, true
	case "encryption_keysize":
		return attrEncryptionKeySize, true
	case "compatibility_level":
		return attrCompatibilityLevel, true
	case "mail_version":
		return attrMailVersion, true
	default:
		return 0, false
	}
}

// attributes is one parsed request. The values are parts of the connection's
// buffer, valid until its next read.
type attributes struct {
	values [attributeCount][]byte
	others names
	kept   []byte // see fill
}

// parse reads a whole request without its empty line: lines of name=value, each
// ended by LF. The last of equal names counts, and it must not contradict the
// others. Control characters other than NUL and CR come from clients, which
// Postfix passes on; they are values like any other.
func (a *attributes) parse(request []byte) error {
	if bytes.IndexByte(request, 0) >= 0 {
		return errNUL
	}
	if bytes.IndexByte(request, '\r') >= 0 {
		return errCR
	}
	a.values = [attributeCount][]byte{}
	a.others.reset()
	for begin := 0; begin < len(request); {
		end := begin + bytes.IndexByte(request[begin:], '\n')
		equal := bytes.IndexByte(request[begin:end], '=')
		if equal < 0 {
			return errNoEqual
		}
		if a.contradicts(request, begin, begin+equal, end) {
			return fmt.Errorf("contradicting values of %q", request[begin:begin+equal])
		}
		begin = end + 1
	}
	if string(a.values[attrRequest]) != "smtpd_access_policy" {
		return errNoRequest
	}
	return nil
}

// contradicts takes the line request[begin:end], whose = is at equal, and tells
// whether its name came before with another value.
func (a *attributes) contradicts(request []byte, begin, equal, end int) bool {
	value := request[equal+1 : end]
	i, ok := known(request[begin:equal])
	if !ok {
		return a.others.contradicts(request, begin, equal, end)
	}
	before := a.values[i]
	// An empty value is an empty part of the buffer, and so not nil.
	a.values[i] = value
	return before != nil && !bytes.Equal(before, value)
}
