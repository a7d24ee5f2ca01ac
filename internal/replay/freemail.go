package replay

import "strings"

// freemailDomains are mail services where anybody has an address. Whoever is not
// here is found by the customers that use it (see public).
var freemailDomains = set(`
	gmail.com googlemail.com msn.com ymail.com rocketmail.com aol.com icloud.com me.com mac.com
	web.de t-online.de freenet.de proton.me protonmail.com pm.me tutanota.com mail.com zoho.com fastmail.com
	mail.ru bk.ru inbox.ru list.ru rambler.ru ukr.net
	seznam.cz email.cz post.cz spoluzaci.cz centrum.cz atlas.cz volny.cz tiscali.cz quick.cz iol.cz
	azet.sk zoznam.sk centrum.sk post.sk pobox.sk inmail.sk
	wp.pl o2.pl onet.pl onet.eu op.pl vp.pl interia.pl poczta.fm gazeta.pl tlen.pl
	freemail.hu citromail.hu indamail.hu libero.it virgilio.it tiscali.it alice.it tin.it
	orange.fr wanadoo.fr free.fr laposte.net sfr.fr online.no c2i.net
	comcast.net verizon.net att.net sbcglobal.net cox.net btinternet.com sky.com virginmedia.com qq.com 163.com 126.com
`)

// manyCountries are those that have a domain in each country.
var manyCountries = set("hotmail live yahoo gmx yandex outlook")

func set(words string) map[string]bool {
	m := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		m[word] = true
	}
	return m
}

// freemail tells whether anybody may have an address in the domain.
func freemail(domain string) bool {
	if freemailDomains[domain] {
		return true
	}
	// gmx.at, yahoo.co.uk, but not yahoo.domena.cz.
	service, country, _ := strings.Cut(domain, ".")
	if second, top, two := strings.Cut(country, "."); two && (second == "co" || second == "com") {
		country = top
	}
	return manyCountries[service] && country != "" && !strings.Contains(country, ".")
}
