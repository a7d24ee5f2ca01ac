#!/bin/bash
# Holds the alert rules and the dashboard against a daemon that runs, in Debian's
# Prometheus: run.sh
# With Docker, in a container; without, as root on Debian, where prometheus is
# installed if it is missing (and not started). Nothing is skipped: where neither is
# possible, this fails.
set -euo pipefail
cd "$(dirname "$0")/../.."

watch() {
	CGO_ENABLED=0 go test -count=1 -v -timeout 10m -tags real -exec "$PWD/integration/monitoring/inside.sh $1" \
		${TESTFLAGS:-} ./integration/monitoring
}

make --no-print-directory build
if docker info >/dev/null 2>&1; then
	docker image inspect debian:bookworm-slim >/dev/null 2>&1 || integration/image.sh bookworm # and with it the base of ours
	docker build --quiet --tag portreeve-test:monitoring integration/monitoring >/dev/null
	watch docker
elif command -v prometheus >/dev/null && command -v promtool >/dev/null; then
	watch natively
elif [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
	# The two programs alone: the package would start a server, and needs nothing else.
	apt-get update -qq
	made=$(mktemp -d)
	trap 'rm -rf "$made"' EXIT
	chmod 755 "$made"
	(cd "$made" && apt-get download -qq prometheus && dpkg -x prometheus_*.deb .)
	export PATH="$made/usr/bin:$PATH"
	watch natively
else
	echo "run.sh: the alerts and the dashboard are tested in Prometheus; start Docker, install prometheus, or run this as root on Debian" >&2
	exit 1
fi
