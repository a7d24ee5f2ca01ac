#!/bin/bash
# Prints the packages' version: X.Y.Z of the tag vX.Y.Z, X.Y.Z+N.gHASH for N commits after
# it, and before the first tag 0~N.gHASH, which sorts before every release. Where git does
# not tell (an archive of the source, no git): 0~unknown.
set -euo pipefail
cd "$(dirname "$0")"

if ! hash=$(git rev-parse --short=9 --verify --quiet HEAD); then
	echo "version.sh: git knows no commit here, so the version is unknown; give it: make packages PACKAGE_VERSION=X.Y.Z" >&2
	echo '0~unknown'
	exit
fi
if tag=$(git describe --tags --match 'v[0-9]*' --abbrev=0 2>/dev/null); then
	since=$(git rev-list --count "$tag..HEAD")
	version=${tag#v}
	[ "$since" = 0 ] || version+=+$since.g$hash
else
	version=0~$(git rev-list --count HEAD).g$hash
fi
# A pre-release sorts before its release, in Debian's order and in rpm's.
echo "${version//-/\~}"
