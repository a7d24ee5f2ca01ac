#!/bin/bash
# What `go test -exec` calls, in the directory of the package, to run the test binary
# where prometheus is: inside.sh docker|natively BINARY ARGS...
set -euo pipefail
where=$1 binary=$2
shift 2

if [ "$where" = natively ]; then
	exec "$binary" "$@"
fi
root=$(cd "$(dirname "$0")/../.." && pwd)
# Nothing but loopback, nobody's rights.
exec docker run --rm --init --network none --user "$(id -u):$(id -g)" --tmpfs /tmp:exec,mode=1777 --env HOME=/tmp \
	--volume "$root:/src:ro" --volume "$(dirname "$binary"):/test:ro" --workdir "/src/${PWD#"$root"/}" \
	portreeve-test:monitoring "/test/$(basename "$binary")" "$@"
