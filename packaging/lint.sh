#!/bin/bash
# lintian and rpmlint on the packages in build/packages, as of each Debian release:
# lint.sh [bookworm|trixie]... What they may say and why is in deb/lintian-overrides and
# rpm/rpmlint.toml; anything else is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)
if ! docker info >/dev/null 2>&1; then
	echo "lint.sh: lintian and rpmlint run in containers; install Docker and start it" >&2
	exit 1
fi
declare -A running
for suite in "${suites[@]}"; do
	integration/image.sh "$suite"
	docker build --quiet --target lint --tag "portreeve-test:$suite-lint" --build-arg "SUITE=$suite" integration >/dev/null
	docker run --rm --network none --tmpfs /tmp --volume "$PWD/build/packages:/packages:ro" --volume "$PWD/packaging:/packaging:ro" \
		"portreeve-test:$suite-lint" /packaging/lint-inside.sh &
	running[$suite]=$!
done
for suite in "${suites[@]}"; do
	wait "${running[$suite]}" || { echo "lint.sh: $suite finds something, see above" >&2 && exit 1; }
	echo "lint.sh: $suite finds nothing"
done
