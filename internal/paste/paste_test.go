package paste_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"portreeve/internal/paste"
	"portreeve/journal"
)

const (
	id1 = "0kHG086hcEUJCINrgXbGZl"
	id2 = "0kHG0AcyIIbExUtW9fWnYa"
)

var texts = []struct {
	name, text string
	ids        []string
	senders    []string
}{
	{name: "the id alone", text: id1, ids: []string{id1}},
	{name: "the reply", text: "550 5.1.0 " + id1 + " authentication failed", ids: []string{id1}},
	{
		name: "Outlook, Czech",
		text: "Vaše zpráva se nedostala k některým nebo ke všem zamýšleným příjemcům.\r\n\r\n" +
			"      Předmět:\tnabídka\r\n      Odesláno:\t22. 11. 2026 12:00\r\n\r\n" +
			"Následujícím příjemcům nelze zprávu doručit:\r\n\r\n" +
			"      'eva@example.com' dne 22. 11. 2026 12:00\r\n" +
			"            Chyba serveru: '550 5.1.0 " + id1 + " authentication rejected'\r\n",
		ids: []string{id1},
	},
	{
		name: "Outlook, Czech, throttled",
		text: "Úloha jan.novak@domena.cz – odesílání oznámila chybu (0x800CCC60): Poštovní server neodeslal uvítací zprávu. Odpověď serveru: 550 5.1.0 " +
			id2 + " Connection refused from 112.67.35.229. Too many authorization failures from this IP, try again later.",
		ids: []string{id2},
	},
	{
		name: "Thunderbird, Czech",
		text: "Při odesílání zprávy došlo k chybě. Poštovní server odpověděl:  \n5.1.0 <jan@seznam.cz> sender rejected.\n" +
			"Zkontrolujte prosím svou e-mailovou adresu v nastavení účtu a opakujte akci.",
		senders: []string{"jan@seznam.cz"},
	},
	{
		name: "Thunderbird, German",
		text: "Senden der Nachricht fehlgeschlagen.\nFehler beim Senden der Nachricht: Der Mail-Server antwortete:\n5.1.0 " + id1 +
			" authentication failed.\nBitte überprüfen Sie die E-Mail-Adresse des Empfängers „eva@example.com“ und wiederholen Sie den Vorgang.",
		ids: []string{id1},
	},
	{
		name: "Outlook, German, wrapped",
		text: "Die folgenden Empfänger konnten nicht erreicht werden:\r\n\r\n" +
			"      eva@example.com am 22.11.2026 12:00\r\n            550 5.1.0 <jürgen@müller.de>\r\n            sender\r\n            rejected",
		senders: []string{"jürgen@müller.de"},
	},
	{
		name: "Thunderbird, Polish",
		text: "Wystąpił błąd podczas wysyłania wiadomości. Serwer poczty odpowiedział:\n 5.1.0 " + id2 +
			" authentication rejected access disabled.\nSprawdź adres odbiorcy wiadomości i spróbuj ponownie.",
		ids: []string{id2},
	},
	{
		name: "policy service's prefix",
		text: "554 5.7.1 <eva@example.com>: Recipient address rejected: " + id1 + " authentication failed",
		ids:  []string{id1},
	},
	{
		name:    "policy service's prefix, sender",
		text:    "550 5.1.0 <jan@seznam.cz>: Sender address rejected: <jan@seznam.cz> sender rejected",
		senders: []string{"jan@seznam.cz"},
	},
	{
		name: "bounce",
		text: "This is the mail system at host relay.example.cz.\n\n" +
			"<eva@example.com>: host mail.domena.cz[192.0.2.1] said: 550 5.1.0\n    " + id1 + " relay rejected (in reply to end\n    of DATA command)\n\n" +
			"Reporting-MTA: dns; relay.example.cz\nX-Postfix-Queue-ID: 4XyzAB12cdEFGH\nFinal-Recipient: rfc822; eva@example.com\nStatus: 5.1.0\n" +
			"Diagnostic-Code: smtp; 550 5.1.0 " + id1 + " relay rejected\n",
		ids: []string{id1},
	},
	{
		name: "source of a bounce, quoted-printable",
		text: "Diagnostic-Code: smtp; 550 5.1.0 0kHG086hc=\r\nEUJCINrgXbGZl relay rejected\nand 550 5.1.0 <jan@sez=\nnam.cz> sender rejected",
		ids:  []string{id1}, senders: []string{"jan@seznam.cz"},
	},
	{
		name:    "quoted in a forwarded message",
		text:    "Kolega píše:\n> > 550 5.1.0 <jan@seznam.cz>\n> > sender\n> > rejected\n> > 550 5.1.0\n> > " + id2 + "\n> > authentication failed",
		ids:     []string{id2},
		senders: []string{"jan@seznam.cz"},
	},
	{
		name: "several, one twice",
		text: id2 + "\n" + id1 + ", " + id2 + "; <b@x.cz> sender rejected / <a@x.cz> sender rejected / <b@x.cz> sender rejected",
		ids:  []string{id2, id1}, senders: []string{"b@x.cz", "a@x.cz"},
	},
	{
		name: "our own log line",
		text: `level=INFO msg=refused id=` + id1 + ` rule=auth_failed client=192.0.2.7`,
		ids:  []string{id1},
	},
	{name: "JSON", text: `{"id":"` + id1 + `","rule":"sender"}`, ids: []string{id1}},
	{name: "punctuation around", text: "(" + id1 + ").“" + id2 + "”", ids: []string{id1, id2}},
	{name: "the null sender", text: "550 5.1.0 <> sender rejected", senders: []string{""}},
	{name: "made printable", text: "<a?b@x.cz> sender rejected", senders: []string{"a?b@x.cz"}},
	{name: "no id", text: "550 5.7.1 Service unavailable; client [192.0.2.7] blocked using zen.spamhaus.org"},
	{name: "no text", text: ""},
	{name: "too short, too long", text: id1[1:] + " " + id1 + "0 x" + id1},
	{name: "above 128 bits", text: "zzzzzzzzzzzzzzzzzzzzz9"},
	{name: "a word of 22 letters", text: "odpovedsmtpserverubyla Benutzerkontensteuerun"},
	{name: "somebody else's rejection", text: "550 5.1.0 <jan@seznam.cz>: Sender address rejected: not owned by user jan"},
	{name: "no address", text: "<jan@seznam.cz sender rejected> <" + strings.Repeat("a", 257) + "> sender rejected"},
}

func TestFind(t *testing.T) {
	for _, test := range texts {
		got := paste.Find(test.text)
		if !slices.Equal(got.IDs, test.ids) || !slices.Equal(got.Senders, test.senders) {
			t.Errorf("%s:\n%s\ngot  %q %q\nwant %q %q", test.name, test.text, got.IDs, got.Senders, test.ids, test.senders)
		}
	}
}

func TestLongTexts(t *testing.T) {
	noise := strings.Repeat("Received: from a.b.cz (a.b.cz [192.0.2.7]) by c; <x> sender ", 2000)
	got := paste.Find(noise + id1 + " " + noise + "<a@b.cz> sender rejected")
	if !slices.Equal(got.IDs, []string{id1}) || !slices.Equal(got.Senders, []string{"a@b.cz"}) {
		t.Errorf("got %q", got)
	}
}

var shape = regexp.MustCompile(`^[0-9A-Za-z]{22}$`)

func FuzzFind(f *testing.F) {
	for _, test := range texts {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := paste.Find(text)
		for i, id := range got.IDs {
			if _, err := journal.ParseID(id); err != nil || !shape.MatchString(id) || slices.Contains(got.IDs[:i], id) {
				t.Errorf("found %q in %q: %v", id, text, err)
			}
		}
		for i, sender := range got.Senders {
			if strings.ContainsAny(sender, "<>\r\n") || slices.Contains(got.Senders[:i], sender) {
				t.Errorf("found the sender %q in %q", sender, text)
			}
		}
		// Whatever stands before it: an id on a line of its own is found.
		if after := paste.Find(text + "\n\n" + id1 + "\n"); !slices.Contains(after.IDs, id1) {
			t.Errorf("the id after %q was not found", text)
		}
	})
}
