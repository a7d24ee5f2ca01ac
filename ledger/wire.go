package ledger

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"net/netip"
	"strings"
	"time"

	"portreeve/ledger/valkey"
	"portreeve/rules"
)

// A failure is told to the shared store as the file keeps it: of a login without @,
// which may be a password, only what may be shown.

// wireID is a failure's ID with the number of the host that counted it.
func wireID(host uint16, id uint64) uint64 { return uint64(host)<<(8*eventBytes) | id }

// splitID undoes wireID.
func splitID(id uint64) (host uint16, number uint64) {
	return uint16(id >> (8 * eventBytes)), id & (1<<(8*eventBytes) - 1)
}

func toWire(f rules.Failure, host uint16, told time.Time) valkey.Failure {
	return valkey.Failure{
		ID: wireID(host, f.ID), Time: f.Time, Told: told, Counted: f.Counted, Same: sameKey(f),
		Detail: appendDetail(nil, f),
	}
}

// sameKey is equal for the same wrong password of the same login, as far as both may
// be kept; 0 is like no other.
func sameKey(f rules.Failure) uint32 {
	if f.Password == "" {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(f.Shown) + "\x00" + f.Password)) //nolint:errcheck // never fails
	return max(1, h.Sum32())
}

func fromWire(w valkey.Failure) (rules.Failure, error) {
	f, err := parseDetail(w.Detail)
	if err != nil {
		return f, err
	}
	f.Time, f.Counted = w.Time, w.Counted
	_, f.ID = splitID(w.ID)
	f.Login, _ = rules.Logins{}.Canonical(f.Shown)
	f.Vague = f.Shown != "" && !strings.Contains(f.Shown, "@")
	return f, nil
}

// appendDetail writes the rest of a failure: the address's bytes and three texts,
// each after its length.
func appendDetail(b []byte, f rules.Failure) []byte {
	for _, part := range [][]byte{f.Client.AsSlice(), []byte(f.Shown), []byte(f.Protocol), []byte(f.Password)} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

var errDetail = errors.New("a failure in the shared store is not readable: another version of portreeve may have written it")

func parseDetail(b []byte) (f rules.Failure, err error) {
	var parts [4]string
	for i := range parts {
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return f, errDetail
		}
		parts[i], b = string(b[n:n+int(length)]), b[n+int(length):]
	}
	if parts[0] != "" {
		var ok bool
		if f.Client, ok = netip.AddrFromSlice([]byte(parts[0])); !ok {
			return f, errDetail
		}
	}
	if len(b) > 0 {
		return f, errDetail
	}
	f.Shown, f.Protocol, f.Password = parts[1], parts[2], parts[3]
	return f, nil
}

// A client's prefix and a login are names of the store; only a login has an @.
func isLogin(name string) bool { return strings.Contains(name, "@") }
