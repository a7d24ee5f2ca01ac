package config

import (
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"portreeve/internal/tomlfile"
)

// maxStoreTimeout leaves Dovecot's auth policy, which waits for 2 s (FACTS.md 2.6), the
// time to hear the answer.
const maxStoreTimeout = time.Second

// valkey checks the store that hosts share, if they do.
func (k *checker) valkey() {
	if k.c.Store.Kind != StoreValkey {
		return
	}
	const at = "store.valkey."
	v := &k.c.Store.Valkey
	if len(v.Addresses) == 0 && !k.broken[at+"addresses"] && !k.broken["store.valkey"] {
		k.add(at+"addresses", "is empty", `name the server, such as ["valkey.example.com:6379"]`)
	}
	for i, address := range v.Addresses {
		if !k.broken[fmt.Sprintf("%saddresses[%d]", at, i)] && !hostPort(address) {
			k.add(at+"addresses", fmt.Sprintf("= %q is no host and port", address), `write one such as "valkey.example.com:6379" or "[2001:db8::1]:6379"`, i)
		}
	}
	if v.Timeout > maxStoreTimeout {
		k.add(at+"timeout", fmt.Sprintf("= %q is too long, since Dovecot waits 2 s for an answer", v.Timeout), `write a duration up to "1s"`)
	}
	if v.Username != "" && v.PasswordFile == "" {
		k.add(at+"username", "needs password_file", "write the password to a file, and name that file in password_file")
	}
	k.line(at+"password_file", v.PasswordFile, "the password", &v.Password)
	if v.SentinelPasswordFile != "" && v.SentinelMaster == "" {
		k.add(at+"sentinel_password_file", "needs sentinel_master", "name the master that the Sentinels watch, or remove it")
	}
	k.line(at+"sentinel_password_file", v.SentinelPasswordFile, "the password", &v.SentinelPassword)
	k.authorities(at, v)
}

func (k *checker) authorities(at string, v *Valkey) {
	if v.CAFile == "" {
		return
	}
	if !v.TLS {
		k.add(at+"ca_file", "needs tls = true", "write tls = true, or remove ca_file")
	}
	text, err := readSmall(v.CAFile)
	switch {
	case err != nil:
		k.add(at+"ca_file", fmt.Sprintf("= %q cannot be read (%s)", v.CAFile, tomlfile.Cause(err)), "correct the path, or let Portreeve's user read it")
	case !x509.NewCertPool().AppendCertsFromPEM(text):
		k.add(at+"ca_file", fmt.Sprintf("= %q has no certificate in it", v.CAFile), "name a file in PEM, with BEGIN CERTIFICATE")
	default:
		v.CA = string(text)
	}
}

func hostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || strings.ContainsAny(host, " /@") {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
