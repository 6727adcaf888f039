#!/bin/sh
# enter.sh ROOT COMMAND...: runs a command in a root directory of its own, with the file systems of the kernel, in the namespaces of
# whoever calls it. Its process id, as seen from outside, goes to the file that PIDFILE names, if it does.
set -eu
root=$1
shift
mount --make-rprivate /
mount --bind "$root" "$root"
if [ -n "${PIDFILE-}" ]; then
	read -r pid rest </proc/self/stat # of the /proc outside
	echo "$pid" >"$PIDFILE"
fi
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
if [ -n "${CGROUP-}" ]; then
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
fi
if [ -n "${LOOPBACK-}" ]; then
	ip link set lo up
fi
cd "$root"
mkdir -p .outside
pivot_root . .outside
umount -l /.outside
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive container=test "$@"
