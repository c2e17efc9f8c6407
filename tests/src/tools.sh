# What a case has at hand, with a kernel or without. A rack's lines are awaited in the order in which it prints them; nothing
# polls.
#
# The parts of a case are put together before it runs, so what one sets another uses.
# shellcheck shell=dash disable=SC2034,SC2154
set -eu
umask 077
cd "$(mktemp -d)"
work=$PWD
export KEYRIG_CONTROL=$work/control
rack=""
line=""
node=""
# What keyrig logs: enough to await what a key waits for. What a case does not await it leaves unread, so this is to be little:
# keyrig stands still once the pipe is full.
log=keyrig_rack=debug

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Runs keyrig in the background: the lines of its standard output and error arrive at descriptor 5.
start() {
    rm -f lines
    mkfifo lines
    KEYRIG_LOG=$log "$keyrig" "$@" >lines 2>&1 5<&- &
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
    credential_request example.com >"$mc_name.request"
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

# The same for a credential that the key finds by the RP ID alone.
assert_discoverable() {
    { random 32; echo example.com; } >"$3.challenge"
    fido2-assert -G -r -i "$3.challenge" -o "$3.assertion" "$1"
    fido2-assert -V -p -i "$3.assertion" "$3.pem" "$2"
}

# Runs a program that asks for the PIN once: PIN COMMAND...
with_pin() {
    wp_pin=$1
    shift
    "$terminal" 'nter PIN for ' "$wp_pin" -- "$@"
}

# Sets the first PIN of $node: PIN.
set_pin() {
    "$terminal" 'Enter new PIN for ' "$1" 'Enter the same PIN again: ' "$1" -- fido2-token -S "$node"
}

# Changes the PIN of $node: OLD NEW.
change_pin() {
    "$terminal" 'Enter current PIN for ' "$1" 'Enter new PIN for ' "$2" 'Enter the same PIN again: ' "$2" -- \
        fido2-token -C "$node"
}

# Expects a command to fail, and to say a text: TEXT COMMAND...
refused() {
    r_text=$1
    shift
    ! "$@" >refused 2>&1 || fail "this succeeded: $*"
    grep -q "$r_text" refused || fail "$* did not say $r_text: $(cat refused)"
}

# Signs a file with an ssh key and verifies it: KEY COMMAND-TO-SIGN... where the command is run with ssh-keygen's arguments.
ssh_sign_and_verify() {
    sv_key=$1
    shift
    echo 'a file' >file
    rm -f file.sig
    "$@" ssh-keygen -q -Y sign -f "$sv_key" -n file file
    echo "alice $(cat "$sv_key.pub")" >allowed
    # shellcheck disable=SC2094
    ssh-keygen -Y verify -f allowed -I alice -n file -s file.sig <file
    ! ssh-keygen -Y verify -f allowed -I alice -n file -s file.sig </dev/null || fail 'another file was verified'
}

# A PIN's life at $node: set, refused, changed.
pin_case() {
    fido2-token -I "$node" | grep -q '^pin retries: undefined$'
    set_pin 123456
    fido2-token -I "$node" | grep -q 'options: .*\bclientPin\b'
    refused FIDO_ERR_PIN_INVALID change_pin 654321 'another one'
    fido2-token -I "$node" | grep -q '^pin retries: 7$'
    change_pin 123456 'another one'
    fido2-token -I "$node" | grep -q '^pin retries: 8$'
    refused FIDO_ERR_PIN_INVALID change_pin 123456 654321
    change_pin 'another one' 123456
}

# An ssh key that lives on the security key and wants its PIN: TYPE. It is made, signs, is fetched from the security key as on
# another machine, and signs again.
ssh_resident_case() {
    set_pin 123456
    with_pin 123456 ssh-keygen -q -t "$1" -O resident -O verify-required -O application=ssh:test -N '' -f id
    ssh_sign_and_verify id with_pin 123456
    mkdir fetched
    (cd fetched && with_pin 123456 ssh-keygen -q -K -N '')
    fetched=$(echo fetched/*.pub)
    test "$(cut -d ' ' -f 1-2 "$fetched")" = "$(cut -d ' ' -f 1-2 id.pub)" || fail "another key was fetched: $(cat "$fetched")"
    ssh_sign_and_verify "${fetched%.pub}" with_pin 123456
}

# Has PAM's module pam_u2f, which the service keyrig-test asks by the file "mapping", let a user in by $node: COMMAND... is what
# pamtester needs before it.
pam_case() {
    user=$(id -un)
    pamu2fcfg -u "$user" -o pam://keyrig-test >mapping
    another=$(cut -d , -f 2 mapping)
    "$@" pamtester keyrig-test "$user" authenticate
    set_pin 123456
    pamu2fcfg -N -u "$user" -o pam://keyrig-test >mapping
    "$terminal" 'enter the PIN' 123456 -- "$@" pamtester keyrig-test "$user" authenticate
    refused 'Authentication failure' "$terminal" 'enter the PIN' 654321 -- "$@" pamtester keyrig-test "$user" authenticate
    # With the public key of another credential: the signature is not by that one.
    awk -F , -v OFS=, -v key="$another" '{ $2 = key; print }' mapping >other
    mv other mapping
    refused 'Authentication failure' "$terminal" 'enter the PIN' 123456 -- "$@" pamtester keyrig-test "$user" authenticate
}

# What pam_u2f is told: which service a file in /etc/pam.d is for, is in its name.
pam_service() {
    echo "auth required pam_u2f.so authfile=$work/mapping origin=pam://keyrig-test cue"
}
