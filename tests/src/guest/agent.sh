# The guest's end of the control channel. As process 1 ("start") it completes the file systems, starts
# udevd and reaps orphans; its child ("serve") runs one script after another for the host:
#
#   host to guest    LIMIT_SECONDS LENGTH\n  and LENGTH bytes of shell script
#   guest to host    VERDICT STATUS STDOUT STDERR LOG\n  and that many bytes of each
#
# VERDICT is "done" or "killed" (over its limit). The first message is the guest's own: it is up.
#
# busybox is asked, which has more than dash.
# shellcheck shell=dash disable=SC3045
tools=/run/keyrig-guest
export PATH=$tools/bin

start() {
    "$tools/bin/busybox" --install -s "$tools/bin"
    mkdir -p /dev/pts /dev/shm
    mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm
    mount -t cgroup2 cgroup2 "$tools/cgroup"
    ln -sf /proc/self/fd /dev/fd
    ln -sf /proc/self/fd/0 /dev/stdin
    ln -sf /proc/self/fd/1 /dev/stdout
    ln -sf /proc/self/fd/2 /dev/stderr
    hostname localhost
    ifconfig lo up
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd-udevd --daemon
    "$tools/bin/busybox" sh "$tools/agent" serve &
    # Waiting for the one child reaps every orphan on the way.
    wait $!
    poweroff -f
}

reply() {
    dmesg -c >"$tools/log"
    echo "$1 $2 $(stat -c %s "$tools/stdout") $(stat -c %s "$tools/stderr") $(stat -c %s "$tools/log")" >&3
    cat "$tools/stdout" "$tools/stderr" "$tools/log" >&3
}

# Runs one script in a control group of its own, so that at its limit all it started can be killed.
run() {
    # A process left over from an earlier script keeps writing to its own files, not to these.
    rm -f "$tools/stdout" "$tools/stderr"
    group=$tools/cgroup/$2
    mkdir "$group"
    {
        # shellcheck disable=SC2016
        setsid sh -c 'echo $$ >"$1/cgroup.procs" && exec env -i \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
            /bin/sh "$2"' sh "$group" "$tools/script" </dev/null >"$tools/stdout" 2>"$tools/stderr" 3>&- 4>&-
        echo $? >&4
    } &
    if read -r -t "$1" status <&4; then
        verdict="done"
    else
        verdict=killed
        echo 1 >"$group/cgroup.kill"
        read -r status <&4
    fi
    # Fails while a background process lives on in it, as it may.
    rmdir "$group" 2>/dev/null
    reply "$verdict" "$status"
}

serve() {
    cd /
    # The port appears some time after its driver was loaded, and nothing else tells when.
    until [ -c /dev/vport0p1 ]; do sleep 0.02; done
    exec 3<>/dev/vport0p1
    # Where a script's exit status arrives: unlike wait, reading has a time limit.
    mkfifo "$tools/status"
    exec 4<>"$tools/status"
    : >"$tools/stdout"
    : >"$tools/stderr"
    reply "done" 0
    number=0
    while read -r limit length <&3; do
        number=$((number + 1))
        dd bs="$length" count=1 iflag=fullblock <&3 >"$tools/script" 2>/dev/null
        run "$limit" "$number"
    done
}

"$1"
