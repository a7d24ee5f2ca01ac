package explain

import (
	"fmt"
	"time"

	"portreeve/journal"
	"portreeve/rules"
)

// UnknownID says what an id tells that is not in this host's journal: when it
// was made, and by which host.
func UnknownID(text string, h *Host) Missing {
	m := Missing{What: text}
	id, err := journal.ParseID(text)
	if err != nil {
		m.Text = "This is no id: an id has 22 letters and digits and stands after the reply code; check that it was copied whole."
		return m
	}
	made, number := id.Time().UTC(), id.Host()
	m.Time, m.HostNumber = &made, &number
	m.Here = number == journal.HostNumber(h.Name)
	m.Command = shell([]string{"portreeve", "explain"}, text)
	for _, name := range h.Peers {
		if journal.HostNumber(name) == number {
			m.Host = name
		}
	}
	switch {
	case made.After(h.Now.Add(Reach)) || made.Before(h.Now.Add(-tooOld)):
		m.Doubtful = true
		m.Text = fmt.Sprintf("This id is not in this host's journal, and its time (%s) is no likely one: check that it was copied whole.", h.stamp(made))
	case m.Here && h.Keep > 0 && made.Before(h.Now.Add(-h.Keep)):
		m.Text = fmt.Sprintf("This host made this id at %s; its journal keeps entries for %s only (journal.keep). The log may have it still.", h.stamp(made), h.Keep)
		m.Command = logCommand(made, text)
	case m.Here:
		m.Text = fmt.Sprintf("This host made this id at %s, but it is not in this host's journal: refusals go to the log while the store cannot be written. Look for it there.", h.stamp(made))
		m.Command = logCommand(made, text)
	case m.Host != "":
		m.Text = fmt.Sprintf("This id is not in this host's journal: the host %s made it at %s. Ask there.", m.Host, h.stamp(made))
	default:
		m.Text = fmt.Sprintf("This id is not in this host's journal: another host made it at %s, the one where `%s` prints %04x. Ask there.", h.stamp(made), numberCommand, number)
	}
	return m
}

// tooOld is the age from which a time in an id is more likely a word that only
// looks like one.
const tooOld = 3 * 365 * 24 * time.Hour

// numberCommand prints the number of the host where it is run.
const numberCommand = `printf %s "$(uname -n)" | sha256sum | cut -c1-4`

// logCommand looks for the id in the log of that day.
func logCommand(at time.Time, id string) string {
	at = at.UTC()
	return shell([]string{
		"journalctl", "-u", "portreeve", "--utc",
		"--since", at.Add(-time.Minute).Format("2006-01-02 15:04:05"),
		"--until", at.Add(time.Hour).Format("2006-01-02 15:04:05"), "--grep",
	}, id)
}

// UnknownSender says that no refusal showed the sender.
func UnknownSender(shown string, since time.Time, h *Host) Missing {
	return Missing{
		What: "<" + shown + ">",
		Text: fmt.Sprintf("No reply of this host has shown <%s> since %s: check the address, or ask another host that customers send through.", rules.PrintableSender(shown), h.stamp(since)),
	}
}

// TooManyIDs says that the text had more ids than are looked up.
func TooManyIDs(left int) Missing {
	return Missing{
		What: fmt.Sprintf("%d more ids", left),
		Text: "This text names too many ids at once: ask again for the rest.",
	}
}

// TooMany says that the text had more senders than are looked for.
func TooMany(shown string) Missing {
	return Missing{
		What: "<" + shown + ">",
		Text: "This text names too many senders: ask again for this one alone.",
	}
}
