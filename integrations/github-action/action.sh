#!/usr/bin/env bash
# The steps of the action: action.sh key|install|run|summary. What they are given is in the environment, and nothing of it is code but
# KEYRIG_RUN.
set -euo pipefail
tree=$(cd "$(dirname "$0")/../.." && pwd)
die() {
    echo "::error title=keyrig::$*"
    exit 1
}

# Where a program that is built goes, and by which name it is cached: by all that it is built from.
key() {
    local sources
    sources=$(cd "$tree" && find Cargo.toml Cargo.lock rust-toolchain.toml crates -type f -print0 | LC_ALL=C sort -z |
        xargs -0 sha256sum | sha256sum)
    {
        echo "built=$RUNNER_TEMP/keyrig-built"
        echo "key=keyrig-$RUNNER_OS-$RUNNER_ARCH-${sources%% *}"
    } >>"$GITHUB_OUTPUT"
}

install() {
    local program=$KEYRIG_PROGRAM
    [ "$RUNNER_OS" = Linux ] || die "'keyrig exec' is for Linux, and this runner has $RUNNER_OS"
    if [ -z "$program" ]; then
        program=$KEYRIG_BUILT/bin/keyrig
        if [ ! -x "$program" ]; then
            command -v cargo >/dev/null || die "there is no Rust to build keyrig with, and no 'program' was given"
            (cd "$tree" && cargo install --locked --quiet --path crates/keyrig --root "$KEYRIG_BUILT")
        fi
    fi
    if [ ! -f "$program" ] || [ ! -x "$program" ]; then die "there is no program at $program"; fi
    program=$(realpath "$program")
    mkdir -p "$RUNNER_TEMP/keyrig/bin"
    ln -sf "$program" "$RUNNER_TEMP/keyrig/bin/keyrig"
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
