#!/bin/bash
# Installs the .deb on a clean host of each Debian release, connects it as the
# documentation says, plays stories against the packaged daemon, and upgrades it under
# load: run.sh [bookworm|trixie]...
#
# Both releases at the same time, since they mostly wait. A package with its user,
# its units and its configuration is nothing to install on somebody's machine for a
# test, so this needs Docker.
set -euo pipefail
cd "$(dirname "$0")/../.."

suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)
if ! docker info >/dev/null 2>&1; then
	echo "packaged/run.sh: the packages are installed in containers, never on this machine; install Docker and start it" >&2
	exit 1
fi

out=$PWD/build/packaged
rm -rf "$out"
arch=$(dpkg --print-architecture)
for one in build/packages/*_"$arch".deb; do
	if [ ! -e "$one" ]; then
		echo "packaged/run.sh: there is no package for $arch in build/packages; run: make packages" >&2
		exit 1
	fi
done
mkdir -p "$out/now" "$out/next"
cp build/packages/*_"$arch".deb "$out/now/portreeve.deb"
# The same program under a higher version, to upgrade to.
PACKAGE_VERSION=$(dpkg-deb --field "$out/now/portreeve.deb" Version | sed 's/-1$//')+next packaging/build.sh "$out/next" "deb/$arch"
mv "$out"/next/*.deb "$out/next/portreeve.deb"

declare -A running
for suite in "${suites[@]}"; do
	integration/image.sh "$suite"
	CGO_ENABLED=0 go test -count=1 -v -timeout 10m -tags packaged \
		-exec "$PWD/integration/packaged/inside.sh $suite $out" ${TESTFLAGS:-} ./integration/packaged >"$out/$suite.log" 2>&1 &
	running[$suite]=$!
done
failed=
for suite in "${suites[@]}"; do
	wait "${running[$suite]}" || failed+=" $suite"
	echo "packaged/run.sh: $suite"
	cat "$out/$suite.log"
done
if [ -n "$failed" ]; then
	echo "packaged/run.sh: failed on$failed" >&2
	exit 1
fi
