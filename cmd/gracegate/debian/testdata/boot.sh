#!/bin/sh
# boot.sh ROOT: runs systemd of a root directory as if on a machine of its own, whose network is loopback alone. The file that PIDFILE
# names gets the id of its first process. Once that has powered off, nothing is left.
set -eu
groups=$(mktemp -d)
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$groups"
mkdir "$groups/gracegate-$$"
echo $$ >"$groups/gracegate-$$/cgroup.procs"
CGROUP=yes unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup \
	sh "$(dirname "$0")/enter.sh" "$1" /lib/systemd/systemd --log-target=console || true
echo $$ >"$groups/cgroup.procs"
find "$groups/gracegate-$$" -depth -type d -exec rmdir {} +
umount "$groups"
rmdir "$groups"
