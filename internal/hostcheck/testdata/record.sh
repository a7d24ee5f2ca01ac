#!/bin/bash
# Records what Postfix and Dovecot of Debian 12 and 13 say of themselves, for the
# tests of hostcheck and setup: record.sh, with Docker and a built bin/portreeve.
# The names of postconf's parameters are those of ../postfix/config.go.
set -euo pipefail
cd "$(dirname "$0")/../../.."
names=$(sed -n '/^var names = /,/^}/p' internal/hostcheck/postfix/config.go | grep -o '"[a-z_]*"' | tr -d '"' | tr '\n' ' ')

for suite in bookworm trixie; do
	docker run --rm --init --network none --hostname mx.test --env "NAMES=$names" \
		--volume "${PORTREEVE:-$PWD/bin/portreeve}:/usr/local/sbin/portreeve:ro" \
		--volume "$PWD/internal/hostcheck/testdata:/src:ro" --volume "$PWD/internal/hostcheck/testdata/hosts:/out" \
		"portreeve-test:$suite" /bin/bash /src/inside.sh "$suite"
done
