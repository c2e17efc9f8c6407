#!/usr/bin/env bash
# The steps of the action: action.sh key|install|run|summary. What they are given is in the environment, and nothing of it is code but
# KEYRIG_RUN.
set -euo pipefail
tree=$(cd "$(dirname "$0")/../.." && pwd)
die() {
    echo "::error title=keyrig::$*"
    exit 1
}

# Where a program that is built or fetched goes, and by which name it is cached: by all that it is built from, or by its hash.
key() {
    local sources
    if [ -n "$KEYRIG_PROGRAM" ]; then
        is_hash
        {
            echo "built=$RUNNER_TEMP/keyrig-built"
            echo "key=keyrig-$KEYRIG_SHA256"
        } >>"$GITHUB_OUTPUT"
        return
    fi
    sources=$(cd "$tree" && find Cargo.toml Cargo.lock rust-toolchain.toml crates -type f -print0 | LC_ALL=C sort -z |
        xargs -0 sha256sum | sha256sum)
    {
        echo "built=$RUNNER_TEMP/keyrig-built"
        echo "key=keyrig-$RUNNER_OS-$RUNNER_ARCH-${sources%% *}"
    } >>"$GITHUB_OUTPUT"
}

is_hash() { [[ $KEYRIG_SHA256 =~ ^[0-9a-f]{64}$ ]] || die "'sha256' has to say what is fetched from $KEYRIG_PROGRAM: 64 digits, 0-9 and a-f"; }

is_what_was_meant() { sha256sum --check --status <<<"$KEYRIG_SHA256  $1"; }

# Takes what is there already if it is what was meant. It is run only then.
fetch() {
    local into=$KEYRIG_BUILT/bin/keyrig fetched
    is_hash
    if [ ! -f "$into" ] || ! is_what_was_meant "$into"; then
        mkdir -p "$KEYRIG_BUILT/bin"
        fetched=$(mktemp -p "$KEYRIG_BUILT")
        curl --silent --show-error --fail --location --proto '=https,http' --proto-redir '=https,http' --retry 3 --output "$fetched" \
            "$KEYRIG_PROGRAM" || die "$KEYRIG_PROGRAM cannot be fetched"
        is_what_was_meant "$fetched" || die "$KEYRIG_PROGRAM is another program than 'sha256' says: its hash is $(sha256sum <"$fetched" | cut -c1-64)"
        chmod 755 "$fetched"
        mv "$fetched" "$into"
    fi
}

install() {
    local program=$KEYRIG_PROGRAM name
    [ "$RUNNER_OS" = Linux ] || die "'keyrig exec' is for Linux, and this runner has $RUNNER_OS"
    if [[ $program == http*://* ]]; then
        fetch
        program=$KEYRIG_BUILT/bin/keyrig
    elif [ -z "$program" ]; then
        program=$KEYRIG_BUILT/bin/keyrig
        if [ ! -x "$program" ]; then
            command -v cargo >/dev/null || die "there is no Rust to build keyrig with, and no 'program' was given"
            (cd "$tree" && cargo install --locked --quiet --path crates/keyrig --root "$KEYRIG_BUILT")
        fi
    fi
    if [ ! -f "$program" ] || [ ! -x "$program" ]; then die "there is no program at $program"; fi
    if [ -n "$KEYRIG_SHA256" ] && ! is_what_was_meant "$program"; then die "$program is another program than 'sha256' says"; fi
    program=$(realpath "$program")
    mkdir -p "$RUNNER_TEMP/keyrig/bin"
    # By the other names it is what stands in front of drivers.
    for name in keyrig keyrig-chromedriver keyrig-geckodriver; do ln -sf "$program" "$RUNNER_TEMP/keyrig/bin/$name"; done
    echo "$RUNNER_TEMP/keyrig/bin" >>"$GITHUB_PATH"
    echo "program=$program" >>"$GITHUB_OUTPUT"
    "$program" --version
    # What this machine can do for keys is told, whatever it is: 'exec' says what is missing.
    "$program" env || true
}

run() {
    local options=() keys option
    read -r -d '' -a keys <<<"$KEYRIG_KEYS" || true
    [ ${#keys[@]} -gt 0 ] || die "'keys' is empty: 'keyrig' is a key"
    for option in "${keys[@]}"; do options+=("--key=$option"); done
    if [ -n "$KEYRIG_TRACES" ]; then
        mkdir -p "$KEYRIG_TRACES"
        KEYRIG_TRACES=$(realpath "$KEYRIG_TRACES")
        export KEYRIG_TRACES
        options+=("--trace=$KEYRIG_TRACES/exec.jsonl" --explain)
    fi
    while IFS= read -r option; do
        [ -z "$option" ] || options+=("$option")
    done <<<"$KEYRIG_EXEC"
    keyrig exec "${options[@]}" -- bash --noprofile --norc -eo pipefail -c "$KEYRIG_RUN"
}

# What failed, in words, for the page of the run.
summary() {
    local trace reports=() told
    {
        echo "### keyrig: $KEYRIG_OUTCOME"
        if [ -n "$KEYRIG_JUNIT" ]; then
            mapfile -t reports < <(compgen -G "$KEYRIG_JUNIT" || true)
            if [ ${#reports[@]} -gt 0 ]; then
                python3 "$tree/integrations/github-action/junit.py" "${reports[@]}"
            else
                echo "No report is at \`$KEYRIG_JUNIT\`."
            fi
        fi
        if [ -z "$KEYRIG_TRACES" ] || [ "$KEYRIG_OUTCOME" = success ]; then return 0; fi
        for trace in "$KEYRIG_TRACES"/*.jsonl; do
            [ -e "$trace" ] || continue
            told=$(keyrig trace "$trace" --explain 2>&1) || true
            [ -n "$told" ] || continue
            printf '\n<details><summary>%s: who said no</summary>\n\n' "$(basename "$trace")"
            # As code: what a site or a page said is in it.
            printf '%s\n' "$told" | head -c 20000 | sed 's/^/    /'
            printf '\n</details>\n'
        done
    } >>"$GITHUB_STEP_SUMMARY"
}

case ${1:-} in
key | install | run | summary) "$1" ;;
*) die "action.sh key|install|run|summary, not ${1:-nothing}" ;;
esac
