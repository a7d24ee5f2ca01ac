package explain

import "strings"

// providers are domains where anybody can have a mailbox. None of them is ever a
// missing alias.
var providers = set(`
aol.com atlas.cz azet.sk centrum.cz centrum.sk chello.at email.cz email.de fastmail.com freenet.de gmail.com
gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com hey.com hotmail.com hotmail.de icloud.com inbox.lv interia.eu
interia.pl live.com live.no mac.com mail.com mail.de mail.ru mailbox.org me.com msn.com o2.pl online.no onet.eu
onet.pl outlook.com outlook.cz outlook.de poczta.onet.pl post.cz post.sk posteo.de proton.me protonmail.com
quick.cz rambler.ru seznam.cz sky.com spoluzaci.cz t-online.de tiscali.cz tlen.pl tuta.com tutanota.com ukr.net
vip.onet.pl volny.cz web.de wp.pl yahoo.co.uk yahoo.com yahoo.de yahoo.fr yahoo.no yandex.com yandex.ru ymail.com
zoho.com zoznam.sk`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}
