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
// address: any that may use the sender, the latest first. Where none may, a
// submission port decides by the latest (and refuses its sender), while a mixed
// port ignores the grant, for the address may also be a mail server.
func (q *inquiry) byGrant() identity {
	if !q.POP.Enabled || !q.r.Client.IsValid() || q.ManyPeople(q.r.Client) {
		return identity{}
	}
	grants := q.f.Grants()
	if len(grants) == 0 || len(grants) > q.POP.MaxAccounts {
		return identity{}
	}
	for _, g := range grants {
		account, state := q.f.Account(g.Login)
		if state == Failed && !q.submission() {
			continue
		}
		if state == Failed || state == Known && account.SMTP && q.mayUse(g.Login, q.r.Sender).ok {
			return identity{login: g.Login, whole: true, grant: true}
		}
	}
	if !q.submission() {
		return identity{}
	}
	return identity{login: grants[0].Login, whole: true, grant: true}
}
