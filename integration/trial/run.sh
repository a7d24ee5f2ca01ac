#!/bin/bash
# Does what contrib/docker/README.md says: run.sh
# It needs Docker and its compose, which it installs where it may. The base is the
# image of the other tests, which has the programs already (../image.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! docker info >/dev/null 2>&1; then
	echo "run.sh: contrib/docker is tried in Docker; start Docker" >&2
	exit 1
fi
if ! docker compose version >/dev/null 2>&1 && ! command -v docker-compose >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "run.sh: neither docker compose nor docker-compose is here; apt-get install docker-compose" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends docker-compose
fi
integration/image.sh trixie
BASE=portreeve-test:trixie-servers go test -count=1 -v -timeout 15m -tags real ${TESTFLAGS:-} ./integration/trial
