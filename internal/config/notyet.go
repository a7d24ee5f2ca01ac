package config

// unavailable is a setting that this version knows but cannot honour.
type unavailable struct {
	key, value, remedy string
}

// notYet lists the settings that later versions bring. Refusing them is the
// honest answer: a quota that is accepted and not kept would be worse than
// none. Whoever builds one of them deletes its entry here.
func notYet(c *Config) []unavailable {
	var list []unavailable
	for _, one := range []struct {
		set bool
		unavailable
	}{
		{c.Directory.Source == SourceSQL, unavailable{"directory.source", `= "sql"`, `use "file"`}},
		{c.Directory.Source == SourceLDAP, unavailable{"directory.source", `= "ldap"`, `use "file"`}},
		{c.Directory.Senders != SendersSource{}, unavailable{"directory.senders", "", "list the senders in the accounts file and remove the table"}},
		{c.Store.Kind == StoreValkey, unavailable{"store.kind", `= "valkey"`, `use "embedded"`}},
	} {
		if one.set {
			list = append(list, one.unavailable)
		}
	}
	return list
}
