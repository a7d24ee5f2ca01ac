#!/bin/bash
# What `go test -exec` calls to run the test binary where chromium is:
# inside.sh docker|natively BINARY ARGS...
set -euo pipefail
where=$1 binary=$2
shift 2

if [ "$where" = natively ]; then
	[ -z "${SHOTS:-}" ] || set -- "$@" -shots "$SHOTS"
	exec "$binary" "$@"
fi
mounts=()
if [ -n "${SHOTS:-}" ]; then
	mounts=(--volume "$SHOTS:/shots")
	set -- "$@" -shots /shots
fi
# Nothing but loopback, nobody's rights. /etc/portreeve is where the picture for
# the README has its configuration.
exec docker run --rm --init --network none --hostname mx1.domena.cz --user "$(id -u):$(id -g)" \
	--tmpfs /tmp:exec,mode=1777 --tmpfs /etc/portreeve:mode=1777 --env HOME=/tmp \
	--volume "$(dirname "$binary"):/test:ro" "${mounts[@]}" --workdir /tmp \
	portreeve-test:browser "/test/$(basename "$binary")" -etc /etc/portreeve "$@"
