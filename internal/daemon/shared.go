package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"portreeve/internal/config"
	"portreeve/ledger"
	"portreeve/ledger/valkey"
)

// join makes the ledger and the journal those of the hosts that share the store.
func (d *Daemon) join(ctx context.Context, c *config.Config, memory *ledger.Embedded, counting ledger.Counting, validity time.Duration) error {
	shared, err := ledger.OpenShared(ctx, memory, counting, validity, ledger.SharedOptions{
		Store: storeOptions(c.Store.Valkey, d.Now), Host: d.host, Keep: c.Journal.Keep, Log: d.Log, Entry: d.journal.Body,
	})
	if err != nil {
		return err
	}
	d.ledger, d.shared = shared, shared
	d.journal.Share(shared.Entries())
	return nil
}

func storeOptions(v config.Valkey, now func() time.Time) valkey.Options {
	o := valkey.Options{
		Addresses: v.Addresses, SentinelMaster: v.SentinelMaster,
		Username: v.Username, Password: string(v.Password), SentinelPassword: string(v.SentinelPassword),
		Timeout: v.Timeout, Now: now,
	}
	if v.TLS {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if v.CA != "" {
			o.TLS.RootCAs = x509.NewCertPool()
			o.TLS.RootCAs.AppendCertsFromPEM([]byte(v.CA))
		}
	}
	return o
}

// leave ends what join began. What the store has not heard waits in the file.
func (d *Daemon) leave() error {
	if d.shared == nil {
		return nil
	}
	return d.shared.Close()
}

// storeFault returns nil, or what is wrong with the file or with the shared store. Only
// the file's is a reason to take the host out of service (healthz): without the shared
// store it goes on.
func (d *Daemon) storeFault() error {
	err := d.ledger.Healthy()
	if d.shared != nil {
		err = errors.Join(err, d.shared.Away())
	}
	return err
}

// peers are the hosts that may have made an id.
func (d *Daemon) peers() []string {
	names := []string{d.host}
	if d.shared != nil {
		names = append(names, d.shared.Peers()...)
	}
	return names
}
