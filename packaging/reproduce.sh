#!/bin/bash
# Builds the packages a second time, as somebody else would: from a copy in another
# directory, with other times and modes, another umask, time zone and language. They
# must be those of build/packages, byte by byte.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! compgen -G 'build/packages/*.deb' >/dev/null; then
	echo "reproduce.sh: there is nothing to compare with in build/packages; run: make packages" >&2
	exit 1
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
umask 077
tar --create --exclude=./build --exclude=./bin . |
	tar --extract --touch --no-same-permissions --directory "$copy"
again=$copy/build/packages
TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 make --silent --directory "$copy" packages
for package in build/packages/*; do
	if ! cmp "$package" "$again/$(basename "$package")"; then
		echo "reproduce.sh: $package is another one when it is built again" >&2
		exit 1
	fi
done
if [ "$(find build/packages -type f | wc -l)" != "$(find "$again" -type f | wc -l)" ]; then
	echo "reproduce.sh: another number of packages when they are built again" >&2
	exit 1
fi
echo "reproduce.sh: the $(find build/packages -type f | wc -l) packages are the same when they are built again"
