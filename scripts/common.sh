# What the scripts share. They are run from the root of the tree.
# shellcheck shell=bash

step() { printf '\n== %s\n' "$*"; }
die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Runs a lint. If it fails, that is told at the end, when all others have had their turn.
failed_lints=()
lint() {
    local name=$1
    shift
    step "$name"
    "$@" || failed_lints+=("$name")
}
all_lints_passed() {
    local IFS=,
    [ ${#failed_lints[@]} -eq 0 ] || die "failed: ${failed_lints[*]}"
}

# rust-toolchain.toml names a version. Where rustup knows that one by another name only, and may not or cannot fetch it, that one
# serves.
need_rust() {
    local wanted
    command -v cargo >/dev/null || die "cargo was not found: install Rust first"
    if cargo --version >/dev/null 2>&1; then return 0; fi
    wanted=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    case "$(RUSTUP_TOOLCHAIN=stable rustc --version 2>/dev/null)" in
    "rustc $wanted "*) export RUSTUP_TOOLCHAIN=stable ;;
    *) die "Rust $wanted is needed, as rust-toolchain.toml says: rustup toolchain install $wanted --profile default" ;;
    esac
}
