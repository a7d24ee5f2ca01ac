package mimic

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// dial connects to one of Portreeve's listeners in Postfix's notation.
func dial(ctx context.Context, address string) (net.Conn, error) {
	network, where, _ := strings.Cut(address, ":")
	if network == "inet" {
		network = "tcp"
	}
	var d net.Dialer
	return d.DialContext(ctx, network, where)
}

// counter makes ids that look like Postfix's short queue ids.
type counter struct{ n atomic.Uint64 }

func (c *counter) next() string { return fmt.Sprintf("%010X", 0xA1B2C30000+c.n.Add(1)) }

// certificate makes the host's own certificate.
func certificate() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hostname},
		NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}
