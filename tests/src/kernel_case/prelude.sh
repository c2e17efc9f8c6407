# What a case of the kernel tier has at hand. A rack's lines are awaited in the order in which it prints them; nothing polls.
set -eu
umask 077
cd "$(mktemp -d)"
work=$PWD
export KEYRIG_CONTROL=$work/control
rack= line= node= nodes=

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Runs keyrig in the background: the lines of its standard output and error arrive at descriptor 5.
start() {
    rm -f lines
    mkfifo lines
    KEYRIG_LOG=keyrig_rack=debug "$keyrig" "$@" >lines 2>&1 5<&- &
    rack=$!
    exec 5<lines
}

# Waits for the next line that matches a pattern, and leaves it in $line.
await() {
    while read -r line <&5; do
        # shellcheck disable=SC2254
        case $line in
        $1) return ;;
        "error:"*) fail "$line" ;;
        esac
    done
    fail "keyrig ended without saying $1"
}

# Waits until a key has its node, and leaves that in $node.
node_of() {
    await "key *$1 is /dev/*"
    node=/dev/${line##*/dev/}
    nodes="$nodes $node"
}

# Attaches one key and waits for its node.
attach_a() {
    start attach --key keyrig=a "$@"
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

# The ports of all controllers that are not free.
ports_taken() {
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

key() {
    "$keyrig" key "$@" >/dev/null
}

random() {
    head -c "$1" /dev/urandom | base64 -w 0
    echo
}

# What fido2-cred -M reads: client data hash, RP ID, user name, user ID.
credential_request() {
    random 32
    echo "${1:-example.com}"
    echo alice
    random 16
}

# Makes a credential at a node and has the tool verify it: NODE TYPE NAME [OPTION...]. Leaves NAME.id and NAME.pem.
make_credential() {
    mc_node=$1 mc_type=$2 mc_name=$3
    shift 3
    credential_request >"$mc_name.request"
    fido2-cred -M "$@" -i "$mc_name.request" -o "$mc_name.credential" "$mc_node" "$mc_type"
    fido2-cred -V -i "$mc_name.credential" -o "$mc_name.verified" "$mc_type"
    head -n 1 "$mc_name.verified" >"$mc_name.id"
    tail -n +2 "$mc_name.verified" >"$mc_name.pem"
}

# Has a credential assert, by its id, and the tool verify it with user presence: NODE TYPE NAME.
assert() {
    { random 32; echo example.com; cat "$3.id"; } >"$3.challenge"
    fido2-assert -G -i "$3.challenge" -o "$3.assertion" "$1"
    fido2-assert -V -p -i "$3.assertion" "$3.pem" "$2"
}
