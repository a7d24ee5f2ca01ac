#!/bin/bash
# Runs a test binary as root on a mail host of its own, which is thrown away:
# pristine.sh bookworm|trixie|natively BINARY ARGS...
# In a container of that release; natively, behind a copy-on-write layer over this
# machine's files, in namespaces of its own.
set -euo pipefail
where=$1 binary=$2
shift 2
root=$(cd "$(dirname "$0")/../.." && pwd)

if [ "$where" != natively ]; then
	# NET_ADMIN: clients need addresses of their own.
	exec docker run --rm --init --network none --hostname mx.domena.cz --cap-add NET_ADMIN --tmpfs /tmp:exec,mode=1777 \
		--volume "$root:/src:ro" --volume "$(dirname "$binary"):/test:ro" \
		--workdir /src/integration/pages "portreeve-test:$where-pages" "/test/$(basename "$binary")" "$@"
fi

layer=$(mktemp -d)
trap 'rmdir "$layer"' EXIT
# shellcheck disable=SC2016 # the inner shell's
unshare --mount --net --uts --ipc --pid --fork --kill-child --propagation private bash -euo pipefail -c '
	layer=$1 root=$2 binary=$3
	shift 3
	hostname mx.domena.cz
	mount -t tmpfs tmpfs "$layer"
	mkdir "$layer/upper" "$layer/work" "$layer/all"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/all"
	mount -t tmpfs tmpfs "$layer/all/tmp"
	chmod 1777 "$layer/all/tmp"
	mkdir -p "$layer/all/src" "$layer/all/test"
	mount --bind -o ro "$root" "$layer/all/src"
	mount --bind -o ro "$(dirname "$binary")" "$layer/all/test"
	mount -t proc proc "$layer/all/proc"
	mount --bind /dev "$layer/all/dev"
	mount -t tmpfs -o mode=755 tmpfs "$layer/all/run"
	chroot "$layer/all" sh -c "cd /src/integration/pages && exec \"\$@\"" sh "/test/$(basename "$binary")" "$@"
' bash "$layer" "$root" "$binary" "$@"
