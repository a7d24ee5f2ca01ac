#!/bin/bash
# make demo: a mail host to try by hand. With Docker it is the container
# portreeve-demo, which goes on running; without, it runs in the foreground on
# 127.77.1.1, which needs root and Debian's Postfix and Dovecot.
set -euo pipefail
cd "$(dirname "$0")/.."

make --no-print-directory build
CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/portreeve-demo ./demo

if ! docker info >/dev/null 2>&1; then
	if [ "$(id -u)" != 0 ] || ! command -v postfix >/dev/null || ! command -v dovecot >/dev/null; then
		echo "demo: this needs Docker, or root with Debian's postfix, dovecot-pop3d and dovecot-imapd installed" >&2
		exit 1
	fi
	exec bin/portreeve-demo host --play
fi

integration/image.sh bookworm
docker rm --force portreeve-demo >/dev/null 2>&1 || true # the demo before this one
docker run --detach --init --name portreeve-demo --hostname mx.test \
	--publish 127.0.0.1:2525:25 --publish 127.0.0.1:2587:587 --publish 127.0.0.1:2465:465 \
	--publish 127.0.0.1:2110:110 --publish 127.0.0.1:2143:143 \
	--tmpfs /tmp:exec,mode=1777 --tmpfs /etc/portreeve:mode=755 \
	--volume "$PWD:/src:ro" --volume "$PWD/bin/portreeve:/usr/local/bin/portreeve:ro" --workdir /src \
	portreeve-test:bookworm bin/portreeve-demo host --addr 0.0.0.0 --config-dir /etc/portreeve >/dev/null
if ! docker exec portreeve-demo bin/portreeve-demo play --addr 127.0.0.1; then
	docker logs --tail 60 portreeve-demo >&2
	echo "demo: the container portreeve-demo did not play the transcript; its output stands above" >&2
	exit 1
fi
cat demo/by-hand.txt
