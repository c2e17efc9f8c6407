# What a case of the kernel tier has at hand beyond tools.sh: keys that are attached to the guest's kernel.
#
# The parts of a case are put together before it runs, so what one sets another uses.
# shellcheck shell=dash disable=SC2034,SC2154
nodes=
# How 'keyrig attach' plugs keys in: nothing is vhci.
how=

# Waits until a key has its node, and leaves that in $node.
node_of() {
    await "key *$1 is /dev/*"
    node=/dev/${line##*/dev/}
    nodes="$nodes $node"
}

# Waits until these keys have nodes, in whatever order the kernel makes them, and leaves them in $node_KEY.
nodes_of() {
    for _ in "$@"; do
        await "key * is /dev/*"
        no_key=${line%% is /dev/*}
        eval "node_${no_key##* }=/dev/${line##*/dev/}"
        nodes="$nodes /dev/${line##*/dev/}"
    done
}

# Attaches one key and waits for its node.
attach_a() {
    # shellcheck disable=SC2086
    start attach $how --key keyrig=a "$@"
    node_of a
}

# Waits until the nodes that were there have gone.
gone() {
    [ -n "$nodes" ] || return 0
    # shellcheck disable=SC2086
    udevadm wait --timeout=20 --removed $nodes || fail "$nodes are still there: $(ls /dev/hidraw*)"
    nodes=
}

# Ends the rack as Ctrl-C does, and waits for its nodes to go.
stop() {
    kill -INT "$rack"
    exec 5<&-
    wait "$rack" || fail "keyrig ended with $?"
    rack=
    gone
}

# The ports of all controllers that are not free, or the devices that programs have made.
ports_taken() {
    if [ -n "$how" ]; then
        find /sys/devices/virtual/misc/uhid -maxdepth 1 -name '0003:*'
        return 0
    fi
    cat /sys/devices/platform/vhci_hcd.0/status* | awk '$1 != "hub" && $3 != "004"'
}

left_behind() {
    status=$?
    trap - EXIT
    if [ -n "$rack" ]; then
        kill -KILL "$rack" 2>/dev/null || true
        gone
    fi
    exit "$status"
}
trap left_behind EXIT
