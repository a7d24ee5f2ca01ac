#!/bin/bash
# One mail host of the trial: Dovecot, Portreeve and Postfix as Debian's packages
# leave them, connected by `portreeve setup` in the order of docs/setup.md.
set -euo pipefail

postconf -e \
	"myhostname = $(hostname)" "mydestination = $(hostname)" "mynetworks = 127.0.0.0/8 [::1]/128" \
	"virtual_mailbox_domains = firma.example, firma.test, obec.example" \
	"virtual_mailbox_maps = inline:{ {jan@firma.example = jan@firma.example/} {eva@obec.example = eva@obec.example/} }" \
	"virtual_mailbox_base = /var/mail/trial" "virtual_uid_maps = static:5000" "virtual_gid_maps = static:5000" \
	"default_transport = error:nothing leaves the trial" "alias_maps =" "local_recipient_maps =" \
	"smtpd_peername_lookup = no" "inet_protocols = ipv4" "maillog_file = /dev/stdout"
sed -i 's/^!include auth-system.conf.ext/#&/' /etc/dovecot/conf.d/10-auth.conf
rm -f /run/dovecot/master.pid /var/spool/postfix/pid/master.pid # of a container that was killed
postfix check # makes its directories

# until_done COMMAND: waits until it does well, for ten seconds.
until_done() {
	for _ in $(seq 100); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	echo "mailhost: waited in vain for: $*" >&2
	exit 1
}

portreeve setup dovecot --apply
dovecot -F &
setpriv --reuid portreeve --regid portreeve --init-groups portreeve serve &
until_done portreeve status
postfix start-fg &
until_done postfix status
# --enforce: there is nobody here yet whom it could surprise.
portreeve setup postfix --apply --enforce --reload
echo "mailhost: ready"

# The three live and end together.
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
trap 'exit 0' TERM INT
wait -n
echo "mailhost: one of the three has ended" >&2
exit 1
