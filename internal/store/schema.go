package store

// Schema is the store's layout, one step per version; a step that was released
// is never changed again.
//
// Both large tables have a time-ordered id as their only key: that is what lets
// the writer keep up with a flood (FACTS.md 5.2).
var Schema = []string{`
create table synced(one integer primary key check (one = 1), at integer not null);

create table decisions(
	id       blob primary key,
	rule     text not null,
	client   text not null,
	login    text not null,
	sender   text not null,
	port     integer not null,
	observed integer not null,
	count    integer not null,
	last     integer not null,
	entry    blob not null
) without rowid;

create table failures(
	id       blob primary key,
	prefix   text not null,
	client   text not null,
	time     integer not null,
	login    text not null,
	service  text not null,
	password text not null,
	counted  integer not null
) without rowid;

create table cleared(prefix text primary key, id blob not null) without rowid;

create table blocks(prefix text primary key, id text not null, since integer not null) without rowid;

create table quotas(
	login      text not null,
	minute     integer not null,
	messages   integer not null,
	recipients integer not null,
	primary key (login, minute)
) without rowid;

create table grants(
	client text not null,
	login  text not null,
	last   integer not null,
	primary key (client, login)
) without rowid;
`, `
-- Where each mail log was read to (maillog).
create table maillog_positions(source text primary key, position blob not null) without rowid;
`, `
-- Rule 11: where each login has come from, and the logins that are being guessed.
create table logins(
	login  text not null,
	client text not null,
	last   integer not null,
	primary key (login, client)
) without rowid;

create table guessed(login text primary key, id text not null, since integer not null) without rowid;
`, `
-- What the shared store has not acknowledged, and what is known of the store itself.
create table outbox(seq integer primary key, event blob not null);

create table shared(name text primary key, value text not null) without rowid;
`, `
-- The messages of the last hour by the names that all hosts know them by, for a shared
-- store that has lost what it had.
create table charged(
	message    text primary key,
	login      text not null,
	recipients integer not null,
	time       integer not null
) without rowid;
`, `
-- The counters as a daemon that was told to stop has left them, in the order in which
-- they were used, and until when they are good.
create table packed(login integer not null, key blob not null, body blob not null);

create table packed_until(one integer primary key check (one = 1), last blob not null, counting text not null);
`, `
-- They are written while the daemon works, too: which rows of packed are good, for all
-- that has an id below last.
drop table packed_until;

delete from packed;

create table packed_until(
	one      integer primary key check (one = 1),
	first    integer not null,
	until    integer not null,
	last     blob not null,
	counting text not null
);
`, `
-- Some hundred counters a row, with a sum to know them by.
delete from packed_until;

drop table packed;

create table packed(login integer not null, sum integer not null, counters blob not null);
`}
