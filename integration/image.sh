#!/bin/bash
# Builds the mail host's image, portreeve-test:SUITE, the one of the tests,
# portreeve-test:SUITE-servers, and that of the documentation's pages,
# portreeve-test:SUITE-pages: image.sh [bookworm|trixie]
#
# Where Docker's registry cannot be reached and no base image is at hand, the
# base is made from Debian's own packages, under the name that the Dockerfile
# asks for, so that there is one Dockerfile and one package list either way.
set -euo pipefail
cd "$(dirname "$0")"

suite=${1:-bookworm}
case $suite in
bookworm | trixie) ;;
*)
	echo "image.sh: unknown suite \"$suite\"; give bookworm or trixie" >&2
	exit 2
	;;
esac
base=debian:$suite-slim

have_image() { docker image inspect "$1" >/dev/null 2>&1; }

make_base() {
	if ! command -v mmdebstrap >/dev/null; then
		if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
			echo "image.sh: $base cannot be pulled and mmdebstrap is missing; run as root, or: apt-get install mmdebstrap" >&2
			exit 1
		fi
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends mmdebstrap debian-archive-keyring
	fi
	echo "image.sh: making $base with mmdebstrap"
	mmdebstrap --quiet --variant=minbase "$suite" - | docker import - "$base" >/dev/null
}

if ! have_image "$base" && ! timeout 120 docker pull --quiet "$base"; then
	make_base
fi
docker build --quiet --target host --tag "portreeve-test:$suite" --build-arg "SUITE=$suite" . >/dev/null
docker build --quiet --target servers --tag "portreeve-test:$suite-servers" --build-arg "SUITE=$suite" . >/dev/null
docker build --quiet --target pages --tag "portreeve-test:$suite-pages" --build-arg "SUITE=$suite" . >/dev/null
echo "image.sh: portreeve-test:$suite, -servers and -pages are ready"
