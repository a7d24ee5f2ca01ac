package daemon

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"portreeve/directory"
	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/tomlfile"
)

// closeAfter is how long a source that a reload has replaced stays open: longer
// than any decision that began before it.
const closeAfter = 30 * time.Second

// sources are the databases and servers that are open, by the settings that they
// were opened with. A reload opens only what has changed.
type sources struct {
	now   func() time.Time
	meter directory.Meter

	mu      sync.Mutex
	open    map[any]*directory.Cache
	retired map[*directory.Cache]*time.Timer
}

func newSources(now func() time.Time, meter directory.Meter) *sources {
	return &sources{now: now, meter: meter, open: map[any]*directory.Cache{}, retired: map[*directory.Cache]*time.Timer{}}
}

// The settings of a source: two that are equal are one source.
type (
	sqlSettings struct {
		config.SQL
		ttl time.Duration
	}
	ldapSettings struct {
		config.LDAP
		ttl time.Duration
	}
	sendersSettings struct {
		config.SendersSource
		ttl time.Duration
	}
)

// directory opens what the configuration names. Nothing is connected yet, so
// that a database that is away keeps no daemon from starting.
func (s *sources) directory(c *config.Config) (directory.Directory, []tomlfile.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := c.Directory
	main, problems := s.main(c)
	if len(problems) > 0 || d.Senders == (config.SendersSource{}) {
		if cache, ok := main.(*directory.Cache); ok {
			return directory.NewSet(cache, nil), problems
		}
		return main, problems
	}
	senders, err := s.cache(sendersSettings{d.Senders, d.CacheTTL}, "senders, sql ("+string(d.Senders.Driver)+")", d.CacheTTL, func() (directory.Directory, error) {
		q := directory.Queries{Senders: d.Senders.Query}.Or(directory.SenderSchemas[string(d.Senders.Schema)].Queries)
		return directory.OpenSQL(directory.Driver(d.Senders.Driver), string(d.Senders.DSN), q)
	})
	if err != nil {
		return main, []tomlfile.Problem{unopened(c, "directory.senders", err)}
	}
	return directory.NewSet(main, senders), nil
}

// main is the directory without other senders.
func (s *sources) main(c *config.Config) (directory.Directory, []tomlfile.Problem) {
	d := c.Directory
	var (
		cache *directory.Cache
		err   error
	)
	switch d.Source {
	case config.SourceSQL:
		cache, err = s.cache(sqlSettings{d.SQL, d.CacheTTL}, "sql ("+string(d.SQL.Driver)+")", d.CacheTTL, func() (directory.Directory, error) {
			own := directory.Queries{Account: d.SQL.Account, Domains: d.SQL.Domains, Addresses: d.SQL.Addresses, Senders: d.SQL.Senders, LocalDomain: d.SQL.LocalDomain}
			return directory.OpenSQL(directory.Driver(d.SQL.Driver), string(d.SQL.DSN), own.Or(directory.Schemas[string(d.SQL.Schema)].Queries))
		})
	case config.SourceLDAP:
		cache, err = s.cache(ldapSettings{d.LDAP, d.CacheTTL}, "ldap", d.CacheTTL, func() (directory.Directory, error) {
			return directory.OpenLDAP(ldapOptions(d.LDAP))
		})
	default:
		return directory.OpenFile(d.File, c.Logins())
	}
	if err != nil {
		return nil, []tomlfile.Problem{unopened(c, "directory."+string(d.Source), err)}
	}
	return cache, nil
}

func unopened(c *config.Config, key string, err error) tomlfile.Problem {
	return tomlfile.Problem{File: c.Path, Key: key, What: key + " cannot be used (" + err.Error() + ")", Remedy: "correct the table"}
}

func ldapOptions(l config.LDAP) directory.LDAPOptions {
	o := directory.LDAPOptions{
		URL: l.URL, StartTLS: l.StartTLS, BindDN: l.BindDN, Password: string(l.Password), Base: l.Base,
		AccountFilter: l.AccountFilter, DomainsFilter: l.DomainsFilter, AddressesFilter: l.AddressesFilter, SendersFilter: l.SendersFilter, LocalFilter: l.LocalFilter,
		SMTP: l.SMTPAttribute, Forward: l.ForwardAttribute, Messages: l.MessagesAttribute, Recipients: l.RecipientsAttribute,
		Domains: l.DomainsAttribute, Addresses: l.AddressesAttribute, Senders: l.SendersAttribute,
	}
	if l.CA != "" {
		o.CA = []byte(l.CA)
	}
	return o
}

// cache is the source of these settings, opened if it is not.
func (s *sources) cache(settings any, name string, ttl time.Duration, open func() (directory.Directory, error)) (*directory.Cache, error) {
	if c := s.open[settings]; c != nil {
		return c, nil
	}
	source, err := open()
	if err != nil {
		return nil, err
	}
	c, err := directory.NewCache(source, directory.CacheOptions{Name: name, TTL: ttl, Now: s.now, Meter: s.meter})
	if err == nil {
		s.open[settings] = c
	}
	return c, err
}

// settle closes, after a while, whatever the directory in force does not use.
func (s *sources) settle(inForce *directory.Set, after time.Duration, failed func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var used []*directory.Cache
	if inForce != nil {
		used = inForce.Sources()
	}
	for settings, c := range s.open {
		if slices.Contains(used, c) {
			continue
		}
		delete(s.open, settings)
		s.retired[c] = time.AfterFunc(after, func() {
			s.mu.Lock()
			delete(s.retired, c)
			s.mu.Unlock()
			if err := c.Close(); err != nil {
				failed(err)
			}
		})
	}
}

// close closes everything.
func (s *sources) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, c := range s.open {
		errs = append(errs, c.Close())
	}
	for c, timer := range s.retired {
		if timer.Stop() {
			errs = append(errs, c.Close())
		}
	}
	clear(s.open)
	clear(s.retired)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the directory: %w", err)
	}
	return nil
}

// set is the directory in force, if it has sources; nil for a file.
func (d *Daemon) set() *directory.Set { return d.asked.Load() }

// settle closes what the directory in force does not use.
func (d *Daemon) settle(after time.Duration) {
	d.sources.settle(d.set(), after, func(err error) { d.Log.Error("old directory not closed", "error", err) })
}

// directoryUp tells whether every source answers.
func (d *Daemon) directoryUp() bool {
	set := d.set()
	return set == nil || !slices.ContainsFunc(set.Health(), func(h directory.Health) bool { return !h.Up })
}

// directoryStatus is how each source does; a file always answers.
func (d *Daemon) directoryStatus(c *config.Config) []admin.SourceStatus {
	list := []admin.SourceStatus{}
	if c.Directory.Source == config.SourceFile {
		list = append(list, admin.SourceStatus{Name: "file, " + c.Directory.File, Up: true})
	}
	if set := d.set(); set != nil {
		for _, h := range set.Health() {
			s := admin.SourceStatus{Name: h.Name, Up: h.Up}
			if h.Err != nil {
				since := h.Since.UTC()
				s.Since, s.Error = &since, h.Err.Error()
			}
			list = append(list, s)
		}
	}
	return list
}

// directoryWarnings is what speaks against the way to the directory.
func directoryWarnings(c *config.Config) []string {
	var list []string
	for _, file := range c.Directory.SecretFiles() {
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o004 != 0 {
			list = append(list, fmt.Sprintf("everybody on this host can read the password in %s: chmod o= %s", file, file))
		}
	}
	if c.Directory.Source == config.SourceLDAP && ldapOptions(c.Directory.LDAP).Overheard() {
		list = append(list, "directory.ldap sends its password over the network unencrypted: set starttls = true, or write ldaps://")
	}
	return list
}
