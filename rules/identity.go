package rules

// identity is whom the client is treated as.
type identity struct {
	login string // canonical; empty: nobody
	whole bool   // a whole address
	grant bool   // by a POP login (rule 8)
}

// identity finds it once per decision: the SASL login, or an account whose POP
// login authorises the address.
func (q *inquiry) identity() identity {
	if !q.whoDone {
		q.whoDone = true
		if q.authenticated() {
			q.who.login, q.who.whole = q.Logins.Canonical(q.r.Login)
		} else {
			q.who = q.byGrant()
		}
	}
	return q.who
}

// byGrant is rule 8's choice among the accounts that collected POP from the
// address: the latest that may use the sender, an enabled one before others.
// Where none may use it, a submission port decides by the latest (and refuses
// its sender). A mixed port ignores what does not fit, for the address may also
// be a mail server; an account that fits and is disabled is only kept in mind.
func (q *inquiry) byGrant() identity {
	if !q.POP.Enabled || !q.r.Client.IsValid() || q.ManyPeople(q.r.Client) {
		return identity{}
	}
	grants := q.f.Grants()
	if len(grants) == 0 || len(grants) > q.POP.MaxAccounts {
		return identity{}
	}
	fits := ""
	for _, g := range grants {
		account, state := q.f.Account(g.Login)
		switch {
		case state == Failed && (q.submission() || q.OnFailure == FailAccept):
			return identity{login: g.Login, whole: true, grant: true} // rule 4 defers, or lets it pass
		case state == Failed || !q.mayUse(g.Login, q.r.Sender).ok:
		case state == Known && account.SMTP:
			return identity{login: g.Login, whole: true, grant: true}
		case fits == "":
			fits = g.Login
		}
	}
	if !q.submission() {
		q.barred = fits
		return identity{}
	}
	if fits == "" {
		fits = grants[0].Login
	}
	return identity{login: fits, whole: true, grant: true}
}
