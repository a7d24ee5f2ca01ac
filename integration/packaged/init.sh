#!/bin/bash
# The first process of a container in which systemd runs, as on a host that users have.
# systemd wants a cgroup hierarchy (version 2) of its own, also where Docker gives its
# containers version 1, and where two of them run side by side.
set -euo pipefail

if [ -z "${IN_CGROUP:-}" ]; then
	mkdir -p /run/cgroup
	mount -t cgroup2 cgroup2 /run/cgroup
	# Below the container's, which Docker removes with it.
	own=/run/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/systemd
	mkdir -p "$own"
	echo $$ >"$own/cgroup.procs"
	IN_CGROUP=yes exec unshare --cgroup --mount --propagation private "$0"
fi
umount /run/cgroup
umount --recursive /sys/fs/cgroup 2>/dev/null || true # absent in some containers
mount -t cgroup2 cgroup2 /sys/fs/cgroup
rm -f /usr/sbin/policy-rc.d # the image's, for its own building
# What would touch the machine, and what only costs time.
for unit in systemd-modules-load systemd-sysctl systemd-remount-fs systemd-udevd ldconfig \
	systemd-journal-catalog-update systemd-update-utmp; do
	ln -sf /dev/null "/etc/systemd/system/$unit.service"
done
unset IN_CGROUP
exec /lib/systemd/systemd
