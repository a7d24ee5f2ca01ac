#!/bin/bash
# What `go test -exec` calls, in the directory of the package, to run a test
# binary where the real programs are: inside.sh bookworm|trixie|natively BINARY ARGS...
set -euo pipefail
where=$1 binary=$2
shift 2

if [ "$where" = natively ]; then
	exec "$binary" "$@"
fi
root=$(cd "$(dirname "$0")/.." && pwd)
# Nothing but loopback: whatever a test sends, it stays inside. An init, since
# Postfix leaves processes behind that somebody must reap. /tmp in memory:
# SQLite's shared memory does not get along with every overlay. The capabilities are
# for a network of the container's own that a test takes away (real_shared_test.go).
exec docker run --rm --init --network none --cap-add NET_ADMIN --cap-add SYS_ADMIN --tmpfs /tmp:exec,mode=1777 --env SOAK_MINUTES --env SOAK_RATE \
	--volume "$root:/src:ro" --volume "$(dirname "$binary"):/test:ro" \
	--workdir "/src/${PWD#"$root"/}" "portreeve-test:$where-servers" "/test/$(basename "$binary")" "$@"
