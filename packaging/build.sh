#!/bin/bash
# Builds the packages, .deb and .rpm for amd64 and arm64, into a directory:
#   packaging/build.sh DIRECTORY [FORMAT/ARCH...]
# The same commit gives the same bytes, whoever builds it, where and when. The manual
# pages and the completions come from `make manuals`; `make packages` runs both.
#
#   PACKAGE_VERSION    instead of what version.sh says
#   SOURCE_DATE_EPOCH  instead of the time of the commit
#   MAINTAINER         who answers for the packages: Name <address>
set -euo pipefail
# What differs between builders must not show.
export LC_ALL=C TZ=UTC
umask 022
cd "$(dirname "$0")/.."

if [ $# = 0 ]; then
	echo "build.sh: say where to put the packages: packaging/build.sh DIRECTORY" >&2
	exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=(deb/amd64 deb/arm64 rpm/amd64 rpm/arm64)

export PACKAGE_VERSION=${PACKAGE_VERSION:-$(packaging/version.sh)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct || echo 0)}
export MAINTAINER=${MAINTAINER:-Portreeve packagers <packagers@portreeve.invalid>}
export STAGE=build/stage ARCH
commit=$(git rev-parse --verify --quiet HEAD || echo unknown)

for page in build/man/portreeve.8 build/completions/portreeve.bash; do
	if [ ! -s "$page" ]; then
		echo "build.sh: $page is missing, and the packages contain it; run: make manuals" >&2
		exit 1
	fi
done

squeeze() { gzip -9 --no-name --stdout "$1" >"$2"; } # the name and time would differ

rm -rf "$STAGE"
mkdir -p "$STAGE/man" "$STAGE/doc"
for page in build/man/*.[58]; do
	squeeze "$page" "$STAGE/man/$(basename "$page").gz"
done
cat >"$STAGE/changelog" <<END
portreeve ($PACKAGE_VERSION-1) unstable; urgency=medium

  * Built from commit $commit.

 -- $MAINTAINER  $(date --utc --date="@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')
END
squeeze "$STAGE/changelog" "$STAGE/doc/changelog.Debian.gz"
for example in $(find contrib/{postfix,dovecot,directory,prometheus,grafana} -type f) contrib/systemd/examples/*; do
	to=${example#contrib/}
	install -D -m 0644 "$example" "$STAGE/examples/${to/systemd\/examples/systemd}"
done
squeeze CHANGELOG.md "$STAGE/doc/changelog.gz"
for page in README.md THIRD_PARTY_NOTICES.md docs/*.md; do # of two of a name, the one that leads through the others
	squeeze "$page" "$STAGE/doc/$(basename "$page").gz"
done

for one in "${wanted[@]}"; do
	format=${one%/*} ARCH=${one#*/}
	program=$STAGE/$ARCH/portreeve
	if [ ! -e "$program" ]; then
		CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH go build -trimpath -buildvcs=false \
			-ldflags "-s -w -X main.version=$PACKAGE_VERSION -X main.commit=$commit" -o "$program" ./cmd/portreeve
	fi
	# It says on standard output what went wrong, too.
	said=$(go tool -modfile=packaging/tools.mod nfpm package --config packaging/nfpm.yaml --packager "$format" --target "$out") || {
		echo "build.sh: $one: $said" >&2
		exit 1
	}
done
