#!/bin/bash
# What `go test -exec` calls to run the test binary on a clean host of a Debian release
# with systemd: inside.sh bookworm|trixie PACKAGES BINARY ARGS...
set -euo pipefail
suite=$1 packages=$2 binary=$3
shift 3
root=$(cd "$(dirname "$0")/../.." && pwd)

# Nothing but loopback. systemd needs to mount and to make namespaces; the capability to
# exceed limits is not to be had everywhere. /proc/sys stays read-only.
container=$(docker run --detach --network none --cap-add ALL --cap-drop SYS_RESOURCE \
	--security-opt seccomp=unconfined --security-opt apparmor=unconfined \
	--tmpfs /run --tmpfs /tmp:exec,mode=1777 --env container=docker \
	--volume "$root:/src:ro" --volume "$packages:/packages:ro" --volume "$(dirname "$binary"):/test:ro" \
	--entrypoint /src/integration/packaged/init.sh "portreeve-test:$suite")
trap 'docker rm --force "$container" >/dev/null' EXIT

booted() { docker exec "$container" systemctl is-system-running --wait 2>/dev/null; }
state=$(timeout 60 bash -c 'until docker exec "$0" test -S /run/systemd/private; do sleep 0.2; done' "$container" && booted || true)
if [ "$state" != running ]; then
	echo "inside.sh: systemd does not run in the container of $suite (it says \"$state\"):" >&2
	docker exec "$container" systemctl --failed --no-pager >&2 || docker logs "$container" >&2
	exit 1
fi
docker exec --workdir "/src/${PWD#"$root"/}" "$container" "/test/$(basename "$binary")" "$@"
