//go:build real

package integration

import (
	"database/sql"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"portreeve/internal/explain"
	"portreeve/rules"
)

// What a setting mends, or what takes one to come about.
var settingSituations = []situation{
	{
		name:     "blocked by an attacker on another login",
		settings: map[string]any{"auth_failures.window": "15s"},
		before:   func(st *stage) { st.fail("recepce1@hotel.test", guesses(11)...) },
		letter:   letter{login: "recepce@hotel.test", from: "recepce@hotel.test"},
		told:     toldBlocked, dialog: thunderbird,
		reason: rules.ReasonBlocked, cause: `^11 failed logins from 127\.1\.\d+\.\d+ within the window, and the limit is 10: "recepce1@hotel\.test" 11×\. It ends by itself at `,
		remedy: customer{`^You can wait: the block ends by itself`, waitOut},
	},
	{
		name:   "blocked office whose phone cannot be found",
		before: stalePhone,
		letter: letter{login: "dane@ucetni.test", from: "dane@ucetni.test"},
		told:   toldBlocked,
		reason: rules.ReasonBlocked, cause: `"mobil@ucetni\.test" repeated one wrong password`,
		// The phone goes on, and nobody is blocked any more.
		remedy: lasting{administrator{`^Lift it at once`, `^This would have spared the others`}, func(st *stage) {
			st.tryToLogIn("mobil@ucetni.test", stalePasswords...)
		}},
	},
	{
		name:   "blocked proxy of many people",
		before: func(st *stage) { st.fail("nikdo@hotel.test", guesses(11)...) },
		letter: letter{login: "recepce@hotel.test", from: "recepce@hotel.test"},
		told:   toldBlocked, dialog: outlook,
		reason: rules.ReasonBlocked, cause: `"nikdo@hotel\.test" 11×`,
		remedy: administrator{`is a proxy or NAT of many people`},
	},
	{
		name:   "login without domain, in a program that cannot be changed",
		letter: letter{login: "pokladna", goesOn: true, from: "pokladna@trafika.test"},
		told:   `^550 5\.1\.0 \w{22} authentication rejected$`,
		reason: rules.ReasonNoAuthNotAddress, cause: `which is no whole e-mail address`,
		remedy: administrator{`^If names without a domain should work here`},
	},
	{
		name:     "expired POP grant",
		settings: map[string]any{"smtp_after_pop.enabled": true, "smtp_after_pop.validity": "5s"},
		before: func(st *stage) {
			st.collect("dilna@truhlar.test")
			st.wait(6 * time.Second)
		},
		letter: letter{from: "dilna@truhlar.test"},
		told:   toldFailed, dialog: outlook,
		reason: rules.ReasonNoAuth, cause: `the last POP login from its address \(dilna@truhlar\.test\) was at .*; smtp_after_pop\.validity is 5s`,
		remedy: customer{`^Let your mail program collect your mail first`, func(st *stage, _ explain.Explanation, _ *letter) { st.collect("dilna@truhlar.test") }},
	},
	{
		name:     "expired POP grant, where mail is collected seldom",
		settings: map[string]any{"smtp_after_pop.enabled": true, "smtp_after_pop.validity": "1s"},
		before: func(st *stage) {
			st.collect("dilna@truhlar.test")
			st.wait(2 * time.Second)
		},
		letter: letter{from: "dilna@truhlar.test"},
		told:   toldFailed,
		reason: rules.ReasonNoAuth, cause: `smtp_after_pop\.validity is 1s`,
		remedy: administrator{`let a POP login authorise for longer`},
	},
	{
		name:     "POP grants of a whole office",
		settings: map[string]any{"smtp_after_pop.enabled": true, "smtp_after_pop.max_accounts": 2},
		before: func(st *stage) {
			for _, login := range []string{"recepce@hotel.test", "recepce1@hotel.test", "recepce2@hotel.test"} {
				st.collect(login)
			}
		},
		letter: letter{from: "recepce@hotel.test"},
		told:   toldFailed,
		reason: rules.ReasonNoAuth, cause: `collected POP mail of 3 accounts, more than the 2 of smtp_after_pop\.max_accounts`,
		remedy: administrator{`let its address authorise more of them`},
	},
	{
		name:   "webmail that is not listed",
		letter: letter{login: "obchod@zahrada.test", from: "zahradnictvi@email.cz"},
		told:   toldSender,
		reason: rules.ReasonSenderNotWebmail, cause: `holds in the webmail only, and 127\.1\.\d+\.\d+ is not in networks\.webmail`,
		remedy: administrator{`is your webmail server: say so`},
	},
	{
		name:     "address of a colleague",
		settings: map[string]any{"sender.match": "address"},
		letter:   letter{login: "info@sklenar.test", from: "zakazky@sklenar.test"},
		told:     toldSender, dialog: thunderbird,
		reason: rules.ReasonSenderAddress, cause: `info@sklenar\.test may use info@sklenar\.test; zakazky@sklenar\.test is none of these`,
		remedy: administrator{`may write as zakazky@sklenar\.test, too: list it`},
	},
	{
		name:     "two Froms",
		settings: map[string]any{"sender.header_from": "enforce"},
		letter:   letter{login: "klub@sachy.test", from: "klub@sachy.test", header: "From: <klub@sachy.test>\nFrom: Klub <klub@sachy.test>\n"},
		told:     toldSender, dialog: outlook,
		reason: rules.ReasonHeaderSeveral, cause: `more than one From field`,
		remedy: administrator{`only observe the header`},
	},
	{
		name:   "null sender with foreign From",
		letter: letter{login: "vydej@lekarna.test", header: "From: <lekarna@volny.cz>\n"},
		told:   toldSender, dialog: thunderbird,
		reason: rules.ReasonHeaderDomain, cause: `"lekarna@volny\.cz", which the message's header names`,
		remedy: administrator{`null sender <> should pass whatever their From says`},
	},
	{
		name:     "null sender with foreign From, where headers are enforced",
		settings: map[string]any{"sender.header_from": "enforce"},
		letter:   letter{login: "vydej@lekarna.test", header: "From: <lekarna@centrum.cz>\n"},
		told:     toldSender,
		reason:   rules.ReasonHeaderDomain, cause: `"lekarna@centrum\.cz", which the message's header names`,
		remedy: administrator{`null sender <> should pass whatever their From says`, `^Then only observe the header`},
	},
	{
		name:     "null sender where none is taken",
		settings: map[string]any{"sender.null_sender": "refuse"},
		letter:   letter{login: "vydej@lekarna.test", header: "From: <vydej@lekarna.test>\n"},
		told:     `^550 5\.1\.0 <> sender rejected$`,
		reason:   rules.ReasonSenderNull, cause: `null sender <> is refused by sender\.null_sender`,
		remedy: administrator{`let <> pass when the header's From obeys`},
	},
	{
		name:     "unknown port",
		settings: map[string]any{"ports.mixed": []int{2525}},
		letter:   letter{port: 25, from: "zpravy@far.test", to: []string{"info@domena.cz"}},
		told:     toldFailed, dialog: bounce,
		reason: rules.ReasonNoAuth, cause: `port 25 is in neither list of \[ports\]`,
		remedy: administrator{`list it as a mixed port`},
	},
}

// inDatabase are the settings of a directory that is a database.
var inDatabase = map[string]any{
	"directory.source":       "sql",
	"directory.sql.driver":   "sqlite",
	"directory.sql.dsn_file": "dsn",
	"directory.sql.account":  "SELECT login FROM account WHERE login = ?",
	"directory.sql.domains":  "SELECT domain FROM domain WHERE domain = ?",
}

// The database of accounts is away.
var directorySituations = []situation{
	{
		name:   "directory down",
		before: func(st *stage) { st.database(takeAway) },
		letter: letter{login: "urad@obec.test", from: "urad@obec.test"},
		told:   `^451 4\.3\.0 \w{22} temporary lookup failure, try again later$`, dialog: thunderbird,
		reason: rules.ReasonDirectory, cause: `The directory of accounts could not answer at `,
		remedy: customer{`^Please try again in a few minutes`, func(st *stage, _ explain.Explanation, _ *letter) {
			st.database(bringBack)
			st.wait(2 * time.Second) // a directory that failed is asked again after a second
		}},
	},
	{
		name:   "directory down, and mail must go on",
		before: func(st *stage) { st.database(takeAway) },
		letter: letter{login: "urad@obec.test", from: "urad@obec.test"},
		told:   `^451 4\.3\.0 \w{22} temporary lookup failure, try again later$`,
		reason: rules.ReasonDirectory, cause: `directory\.on_failure says to defer`,
		remedy: administrator{`^See how the host is now`, `mail should rather go on unchecked`},
	},
}

// What happens to the table of accounts.
var (
	takeAway  = "ALTER TABLE account RENAME TO lost"
	bringBack = "ALTER TABLE lost RENAME TO account"
)

// database makes the database, unless it is there, takes it into use, and changes
// it beneath the daemon.
func (st *stage) database(change string) {
	st.t.Helper()
	path := filepath.Join(st.dir, "accounts.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		st.t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // each statement has been committed
	statements := []string{change}
	if change == takeAway {
		statements = []string{
			"DROP TABLE IF EXISTS lost", "DROP TABLE IF EXISTS account", "DROP TABLE IF EXISTS domain",
			"CREATE TABLE account(login TEXT)", "INSERT INTO account VALUES ('urad@obec.test')",
			"CREATE TABLE domain(domain TEXT)", "INSERT INTO domain VALUES ('obec.test')",
			change,
		}
	}
	for _, s := range statements {
		if _, err := db.ExecContext(st.t.Context(), s); err != nil {
			st.t.Fatalf("%s: %v", s, err)
		}
	}
	if change == takeAway {
		if err := os.WriteFile(filepath.Join(st.dir, "dsn"), []byte(path+"\n"), 0o600); err != nil {
			st.t.Fatal(err)
		}
		st.restore(inDatabase)
	}
}
