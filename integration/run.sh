#!/bin/bash
# Plays the stories on the real Postfix and Dovecot, and runs the tests on real
# database servers: run.sh [bookworm|trixie]...
# With Docker, in a container of each Debian release (default: both). Without,
# as root on Debian, beside whatever mail server the machine has. Nothing is
# skipped: where neither is possible, this fails.
set -euo pipefail
cd "$(dirname "$0")/.."

suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

# `go test` itself prints the result; two packages run side by side, since they mostly
# wait. For a single test:
# TESTFLAGS="-run TestKill" integration/run.sh bookworm
# For some of the packages: TESTPACKAGES=./directory integration/run.sh bookworm
play() {
	CGO_ENABLED=0 go test -count=1 -v -p 2 -timeout 30m -tags real -exec "$PWD/integration/inside.sh $1" \
		${TESTFLAGS:-} ${TESTPACKAGES:-./integration ./directory ./ledger}
}

have_programs() {
	for program in postfix dovecot swaks curl saslauthd saslpasswd2 journalctl mariadbd slapd; do
		command -v $program >/dev/null || return 1
	done
	command -v redis-server >/dev/null || command -v valkey-server >/dev/null || return 1
	compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null
}

# The packages, without starting the daemons that they bring, and without
# removing a mail server that is there.
install_natively() {
	local guard=/usr/sbin/policy-rc.d made=
	if [ ! -e $guard ]; then
		printf '#!/bin/sh\nexit 101\n' >$guard
		chmod 755 $guard
		made=yes
	fi
	local failed=
	apt-get update -qq || failed=yes
	# shellcheck disable=SC2046 # one word per package
	DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-remove --no-install-recommends \
		$(cat integration/packages.txt integration/servers.txt "integration/servers.$1.txt") || failed=yes
	[ -z "$made" ] || rm -f $guard
	if [ -n "$failed" ]; then
		echo "run.sh: the programs could not be installed beside this machine's packages; install Docker" >&2
		exit 1
	fi
}

make --no-print-directory build
if docker info >/dev/null 2>&1; then
	for suite in "${suites[@]}"; do
		integration/image.sh "$suite"
		play "$suite"
	done
elif [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
	have_programs || install_natively "$(. /etc/os-release && echo "$VERSION_CODENAME")"
	play natively
else
	echo "run.sh: the real Postfix and Dovecot need Docker, or root on Debian; start Docker or run this as root" >&2
	exit 1
fi
