//go:build real

package pages

import (
	"embed"
	"encoding/base64"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// host is the mail host of one page.
type host struct {
	*testing.T
	dir string // where commands are run
	ran int
	end func() // of what goes on beside the commands

	known []string // ids of before a backup

	before string // the mail programs' files
}

//go:embed testdata
var testdata embed.FS

// serviceLog is where the stand-in for systemctl puts the daemon's log.
const serviceLog = "/var/log/portreeve.log"

// passwords are those of the customers: their local part and this.
const passwordEnd = "-pass"

// newHost makes the mail host that a reader has: Debian's Postfix and Dovecot in
// use, with customers of domena.cz, and clients beyond it.
func newHost(t *testing.T, kind HostKind) *host {
	t.Helper()
	h := &host{T: t, dir: home}
	h.standIn()
	h.run(`ip link set lo up
		for address in 192.0.2.7 192.0.2.9 198.51.100.4; do ip address add $address/32 dev lo; done`)
	h.mailHost()
	h.before = h.files()
	switch kind {
	case Bare:
		h.dir = "/src"
	case Packaged:
		h.run("cp /src/build/pages/portreeve_*.deb " + home)
	case Installed:
		h.run("cp /src/build/pages/portreeve_*.deb " + home)
		h.page("docs/install.md", "portreeve setup dovecot")
	case Enforces:
		h.connected()
	}
	return h
}

// standIn gives the host a systemctl. There is no systemd in a container; what
// the unit says is done all the same.
func (h *host) standIn() {
	h.Helper()
	script, err := testdata.ReadFile("testdata/systemctl")
	if err != nil {
		h.Fatal(err)
	}
	h.write("/usr/local/sbin/systemctl", string(script))
	h.run("chmod 755 /usr/local/sbin/systemctl")
	h.Cleanup(func() { h.run("systemctl stop portreeve; postfix stop; doveadm stop") })
}

func (h *host) mailHost() {
	h.Helper()
	h.run(`postconf -e "myhostname = mx.domena.cz" "mydestination = mx.domena.cz, localhost" "mynetworks = 127.0.0.0/8 [::1]/128" \
			"virtual_mailbox_domains = domena.cz, domena.eu" "virtual_mailbox_maps = static:all" \
			"virtual_transport = discard:" "default_transport = discard:" "relay_transport = discard:" "local_transport = discard:" \
			"maillog_file = /var/log/mail.log" "smtpd_error_sleep_time = 0" "smtpd_peername_lookup = no" "inet_protocols = ipv4"
		sed -i 's/^!include auth-system.conf.ext/#&/' /etc/dovecot/conf.d/10-auth.conf`)
	for _, name := range []string{"jan.novak", "eva", "petr"} {
		h.append("/etc/dovecot/users", fmt.Sprintf("%s@domena.cz:{PLAIN}%s%s\n", name, name, passwordEnd))
	}
	conf := "passdb {\n  driver = passwd-file\n  args = /etc/dovecot/users\n}\nuserdb {\n  driver = static\n  args = uid=nobody gid=nogroup home=/var/mail/%u\n}\n"
	if strings.HasPrefix(h.run("dovecot --version"), "2.4") {
		conf = "passdb passwd-file {\n  passwd_file_path = /etc/dovecot/users\n}\nuserdb static {\n  fields {\n    uid = nobody\n    gid = nogroup\n    home = /var/mail/%{user}\n  }\n}\n"
	}
	h.write("/etc/dovecot/conf.d/20-host.conf", conf+"log_path = /var/log/dovecot.log\n")
	h.run("chmod 644 /etc/dovecot/users; dovecot; postfix start")
}

func (h *host) append(path, text string) {
	h.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		h.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		h.Fatal(err)
	}
	if err := f.Close(); err != nil {
		h.Fatal(err)
	}
}

// connected is a host that has followed docs/by-hand.md, and enforces.
func (h *host) connected() {
	h.Helper()
	h.dir = "/src"
	h.page("docs/by-hand.md", "make manuals")
	h.dir = home
	h.run("sed -i 's/^mode = .*/mode = \"enforce\"/' /etc/portreeve/portreeve.toml; portreeve reload")
}

// page plays a page, until a block that begins so.
func (h *host) page(name, until string) {
	h.Helper()
	blocks, err := Read(root, name)
	if err != nil {
		h.Fatal(err)
	}
	for _, b := range blocks {
		if until != "" && strings.HasPrefix(b.Text, until) {
			break
		}
		h.block(b)
		if h.Failed() {
			h.logs()
			h.FailNow()
		}
	}
}

// steps are what a test does between the blocks of a page.
var steps = map[string]func(h *host, args []string){
	"sends":     (*host).sends,
	"refused":   (*host).refused,
	"guesses":   (*host).guesses,
	"started":   (*host).started,
	"run":       (*host).hidden,
	"untouched": (*host).untouched,
	"logkeys":   (*host).logKeys,
	"busy":      (*host).busy,
	"quiet":     (*host).quiet,
	"restored":  (*host).restored,
	"manuals":   (*host).manuals,
}

// sends CLIENT LOGIN SENDER: the message is taken.
func (h *host) sends(args []string) {
	h.Helper()
	if reply := h.mail(args[0], args[1], args[2]); !strings.HasPrefix(reply, "250 ") {
		h.Errorf("%s was answered %q", strings.Join(args, " "), reply)
	}
}

// refused CLIENT LOGIN SENDER EXPRESSION: the reply matches.
func (h *host) refused(args []string) {
	h.Helper()
	want := strings.Join(args[3:], " ")
	if reply := h.mail(args[0], args[1], args[2]); !regexp.MustCompile(want).MatchString(reply) {
		h.Errorf("%s was answered %q", strings.Join(args, " "), reply)
	}
}

// guesses CLIENT LOGIN COUNT: so many wrong passwords.
func (h *host) guesses(args []string) {
	h.Helper()
	n, err := strconv.Atoi(args[2])
	if err != nil {
		h.Fatal(err)
	}
	var all sync.WaitGroup // Dovecot takes two seconds for each
	for range n {
		all.Go(func() {
			c := h.session(args[0])
			if reply := c.auth(args[1], "wrong"); !strings.HasPrefix(reply, "535 ") {
				h.Errorf("a wrong password was answered %q", reply)
			}
			c.ask("QUIT")
		})
	}
	all.Wait()
}

// files are the mail programs' files, with owner, mode and content.
func (h *host) files() string {
	h.Helper()
	return h.run(`find /etc/postfix /etc/dovecot -type f | sort | while read -r f; do stat -c '%n %U:%G %a' "$f"; sha256sum < "$f"; done`)
}

// untouched: they are as they were.
func (h *host) untouched([]string) {
	h.Helper()
	if now := h.files(); now != h.before {
		h.Errorf("the files were\n%s\nand are\n%s", h.before, now)
	}
}

// hidden is a command that no reader needs.
func (h *host) hidden(args []string) {
	h.Helper()
	h.run(strings.Join(args, " "))
}

// started does what the package does where there is systemd.
func (h *host) started([]string) {
	h.Helper()
	h.run("systemctl start portreeve")
}

// smtp is a client's session.
type smtp struct {
	h *host
	*textproto.Conn
}

func (h *host) session(from string) *smtp {
	h.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	var n net.Conn
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var err error
		if n, err = d.Dial("tcp", net.JoinHostPort(from, "587")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			h.Fatal(err)
		}
	}
	h.Cleanup(func() { n.Close() }) //nolint:errcheck // the server may have gone first
	if err := n.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		h.Fatal(err)
	}
	c := &smtp{h, textproto.NewConn(n)}
	c.reply()
	c.ask("EHLO pc.example")
	return c
}

func (c *smtp) ask(line string) string {
	c.h.Helper()
	if err := c.PrintfLine("%s", line); err != nil {
		c.h.Fatal(err)
	}
	return c.reply()
}

func (c *smtp) reply() string {
	c.h.Helper()
	code, text, err := c.ReadResponse(0)
	if err != nil && code == 0 {
		c.h.Fatal(err)
	}
	return fmt.Sprint(code, " ", text)
}

func (c *smtp) auth(login, password string) string {
	c.h.Helper()
	return c.ask("AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+password)))
}

// mail sends one message, and is the reply that ends it.
func (h *host) mail(from, login, sender string) string {
	h.Helper()
	c := h.session(from)
	defer c.Close() //nolint:errcheck // nothing is left to say
	name, _, _ := strings.Cut(login, "@")
	if reply := c.auth(login, name+passwordEnd); !strings.HasPrefix(reply, "235 ") {
		return reply
	}
	for _, line := range []string{"MAIL FROM:<" + sender + ">", "RCPT TO:<x@example.net>"} {
		if reply := c.ask(line); !strings.HasPrefix(reply, "250 ") {
			return reply
		}
	}
	if reply := c.ask("DATA"); !strings.HasPrefix(reply, "354 ") {
		return reply
	}
	return c.ask("From: <" + sender + ">\r\nSubject: x\r\n\r\ntext\r\n.")
}
