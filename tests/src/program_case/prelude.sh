# What a case without a kernel has at hand beyond tools.sh: a key at a datagram endpoint, and programs that find it there.
#
# The parts of a case are put together before it runs, so what one sets another uses.
# shellcheck shell=dash disable=SC2034,SC2154
log=warn

# Serves one key: PROFILE [OPTION...]. From then on every program that uses libfido2 has it as $node, and no other.
serve_a() {
    profile=$1
    shift
    export KEYRIG_CTAPHID="unix:$work/endpoint"
    start serve --key "$profile=a" --usbip 127.0.0.1:0 --ctaphid "$KEYRIG_CTAPHID" --ctaphid udp:127.0.0.1:0 "$@"
    await "CTAPHID *udp:*"
    udp=udp:${line##*udp:}
    udp=${udp%% *}
    await "Ctrl-C ends it."
    node=key
    export LD_PRELOAD="$shim"
}

# Ends the rack as Ctrl-C does.
stop() {
    kill -INT "$rack"
    exec 5<&-
    wait "$rack" || fail "keyrig ended with $?"
    rack=
}

left_behind() {
    status=$?
    trap - EXIT
    [ -z "$rack" ] || kill -KILL "$rack"
    cd /
    rm -rf "$work"
    exit "$status"
}
trap left_behind EXIT
trap 'exit 143' TERM
