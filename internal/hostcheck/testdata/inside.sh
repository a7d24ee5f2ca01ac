#!/bin/bash
# The part of record.sh inside a container.
set -euo pipefail
suite=$1

# The image's own name, from when it was built, stands in main.cf.
sed -i "s/$(postconf -h myhostname)/mx.test/g" /etc/postfix/main.cf
useradd --system portreeve
postfix check
install -d -o portreeve -g postfix -m 0750 /var/spool/postfix/portreeve
install -d -o portreeve -g portreeve /etc/portreeve /var/lib/portreeve /run/portreeve
cp -a /etc/postfix /root/postfix
cp -a /etc/dovecot /root/dovecot

# as NAME: writes down the host as it is.
as() {
	{
		for f in main.cf master.cf; do echo "-- $f --"; cat "/etc/postfix/$f"; done
		echo "-- postconf-names --"
		# shellcheck disable=SC2086 # one word per parameter
		postconf -x $NAMES 2>/dev/null
		echo "-- postconf-set --"
		postconf -x -n
		echo "-- postconf-services --"
		postconf -M
		echo "-- dovecot.conf --"
		cat /etc/dovecot/dovecot.conf
		echo "-- dovecot-version --"
		dovecot --version
		echo "-- doveconf --"
		doveconf -n | sed '/^# OS:/d'
		echo "-- doveconf-nonce --"
		if dovecot --version | grep -q '^2\.4'; then doveconf -P auth_policy; else doveconf -P auth_policy_hash_nonce; fi
		for f in 99-portreeve.conf portreeve-token.conf.ext; do
			[ ! -e "/etc/dovecot/conf.d/$f" ] || { echo "-- $f --"; cat "/etc/dovecot/conf.d/$f"; }
		done
	} >"/out/$suite-$1.txtar"
}

# afresh [SETTINGS]: Debian's files again, and this portreeve.toml.
afresh() {
	rm -rf /etc/postfix /etc/dovecot
	cp -a /root/postfix /etc/postfix
	cp -a /root/dovecot /etc/dovecot
	cat >/etc/portreeve/portreeve.toml <<-TOML
		mode = "observe"
		[listen]
		auth = "inet:127.0.0.1:9192"
		$*
		[auth_policy]
		token_file = "token"
	TOML
	printf '[domains]\n"domena.cz" = {}\n' >/etc/portreeve/accounts.toml
	echo of-the-recorded-hosts >/etc/portreeve/token
}

# connect: both setups, with a nonce that is the same each time.
connect() {
	printf 'auth_policy_hash_nonce = of-the-recorded-hosts\n' >/etc/dovecot/conf.d/portreeve-token.conf.ext
	chmod 600 /etc/dovecot/conf.d/portreeve-token.conf.ext
	portreeve setup dovecot --apply >/dev/null
	dovecot
	portreeve serve 2>/dev/null &
	until portreeve status >/dev/null 2>&1; do sleep 0.2; done
	portreeve setup postfix --apply >/dev/null
	doveadm stop
	kill $!
	wait $! || true
}

afresh
as default
connect
as milter

afresh 'milter = ""'
connect
as policy-only

# A host with a life of its own: other milters, Debian's sample of submission,
# smtps by its old name, lists in main.cf, a content filter's re-injection port.
afresh
postconf -e 'smtpd_milters = inet:127.0.0.1:8891, inet:127.0.0.1:11332' 'non_smtpd_milters = inet:127.0.0.1:8891' \
	'milter_default_action = accept' \
	'smtpd_relay_restrictions = permit_sasl_authenticated, permit_mynetworks, reject_unauth_destination' \
	'smtpd_recipient_restrictions = reject_non_fqdn_recipient, reject_rbl_client zen.example.net' \
	'smtpd_data_restrictions = reject_unauth_pipelining, permit' \
	'smtpd_sasl_type = dovecot' 'smtpd_sasl_path = private/auth' \
	'virtual_mailbox_domains = domena.cz, firma.cz'
sed -i -e '/^#submission inet/,/^# Choose one/{/^# Choose one/!s/^#\(submission inet\|  -o\)/\1/}' /etc/postfix/master.cf
cat >>/etc/postfix/master.cf <<'CF'
# The postmaster's own.
smtps     inet  n       -       y       -       -       smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
127.0.0.1:10025 inet n  -       n       -       -       smtpd
  -o smtpd_milters= -o smtpd_relay_restrictions=permit_mynetworks,reject
CF
as admin
connect
as admin-milter
