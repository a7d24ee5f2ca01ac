#!/bin/bash
# Plays the documentation's pages: run.sh [bookworm|trixie]...
# With Docker, on hosts in containers of each Debian release (default: both).
# Without, as root on Debian. Nothing is skipped: where neither is possible, this fails.
# One story alone: TESTFLAGS="-only docs/install.md" integration/pages/run.sh bookworm
set -euo pipefail
cd "$(dirname "$0")/../.."

suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

play() {
	CGO_ENABLED=0 go test -count=1 -v -timeout 15m -tags real ./integration/pages -where "$1" ${TESTFLAGS:-}
}

make --no-print-directory build manuals
rm -rf build/pages # docs/install.md installs what it finds there
packaging/build.sh build/pages "deb/$(go env GOARCH)"
if docker info >/dev/null 2>&1; then
	for suite in "${suites[@]}"; do
		integration/image.sh "$suite"
		play "$suite"
	done
elif [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
	apt-get update -qq
	# shellcheck disable=SC2046 # one word per package
	DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-remove --no-install-recommends \
		$(cat integration/packages.txt integration/pages/packages.txt)
	play natively
else
	echo "run.sh: the documentation is played on Postfix and Dovecot; start Docker, or run this as root on Debian" >&2
	exit 1
fi
