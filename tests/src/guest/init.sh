#!/bin/busybox sh
# shellcheck shell=dash
#
# Process 1 of the initramfs: loads the modules, then makes the host's files the root file system,
# read-only below and a tmpfs above. It switches to that root rather than changing into it: in a
# chroot, udevadm ignores requests and the kernel refuses user namespaces, which browsers need.
set -e
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /lower /upper /root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

while read -r module; do
    insmod "/modules/$module"
done </modules/order

mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose host /lower
mount -t tmpfs -o mode=755 tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root

mkdir -p /root/proc /root/sys /root/dev /root/run /root/tmp
mount --move /proc /root/proc
mount --move /sys /root/sys
mount --move /dev /root/dev
mount -t tmpfs -o mode=755 tmpfs /root/run
chmod 1777 /root/tmp

tools=/root/run/keyrig-guest
mkdir -p "$tools/bin" "$tools/cgroup" /root/run/lock
cp /bin/busybox "$tools/bin/busybox"
cp /agent "$tools/agent"
exec switch_root /root /run/keyrig-guest/bin/busybox sh /run/keyrig-guest/agent start
