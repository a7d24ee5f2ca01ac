#!/bin/bash
# Looks at the help-desk page in Debian's chromium: run.sh
# With Docker, in a container; without, as root on Debian, where chromium is
# installed if it is missing. Nothing is skipped: where neither is possible,
# this fails.
#
# SHOTS=DIR keeps the screenshots. For a single test:
# TESTFLAGS="-run TestHelpDesk" integration/browser/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

look() {
	CGO_ENABLED=0 go test -count=1 -v -timeout 15m -tags real -exec "$PWD/integration/browser/inside.sh $1" \
		${TESTFLAGS:-} ./integration/browser
}

if [ -n "${SHOTS:-}" ]; then
	mkdir -p "$SHOTS"
	SHOTS=$(cd "$SHOTS" && pwd)
	export SHOTS
fi
if docker info >/dev/null 2>&1; then
	integration/image.sh bookworm # and with it the base of ours
	docker build --quiet --tag portreeve-test:browser integration/browser >/dev/null
	look docker
elif command -v chromium >/dev/null; then
	look natively
elif [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-remove --no-install-recommends chromium fonts-dejavu-core
	look natively
else
	echo "run.sh: the help-desk page is tested in chromium; start Docker, install chromium, or run this as root on Debian" >&2
	exit 1
fi
