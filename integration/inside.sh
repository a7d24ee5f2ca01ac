#!/bin/bash
# What `go test -exec` calls to run a test binary where Postfix and Dovecot
# are: inside.sh bookworm|trixie|natively BINARY ARGS...
set -euo pipefail
where=$1 binary=$2
shift 2

if [ "$where" = natively ]; then
	exec "$binary" "$@"
fi
# Nothing but loopback: whatever a test sends, it stays inside. An init, since
# Postfix leaves processes behind that somebody must reap. /tmp in memory:
# SQLite's shared memory does not get along with every overlay.
exec docker run --rm --init --network none --tmpfs /tmp:exec,mode=1777 \
	--volume "$(cd .. && pwd):/src:ro" --volume "$(dirname "$binary"):/test:ro" \
	--workdir /src/integration "portreeve-test:$where" "/test/$(basename "$binary")" "$@"
