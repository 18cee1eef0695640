#!/usr/bin/env bash
# Makes what the demo and the tests need and the machine lacks: Debian packages, Synapse in a virtual
# environment inside the build folder, and cargo-fuzz. Safe to run again; does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly REQUIREMENTS=scripts/synapse-requirements.txt
PEERS="$(realpath -m "${CARGO_TARGET_DIR:-target}")/peers"
readonly PEERS
readonly VENV="$PEERS/synapse-venv"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }
have() { command -v "$1" >/dev/null; }

# --- Debian packages -----------------------------------------------------------------------------

# The Debian packages that this machine lacks, one per line.
missing_packages() {
    have cc || printf '%s\n' gcc libc6-dev
    have c++ || printf '%s\n' g++
    { have tshark && have dumpcap; } || printf '%s\n' tshark
    have systemd-analyze || printf '%s\n' systemd
    [[ -x /usr/sbin/bearerbox ]] || printf '%s\n' kannel
    have setpriv || printf '%s\n' util-linux
    python_for_venv >/dev/null || printf '%s\n' python3.11 python3.11-venv
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    if ((EUID != 0)) || ! have apt-get; then
        fail "these Debian packages are missing; install them and run this again:" \
            "sudo apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "installing Debian packages: ${missing[*]}"
    apt_install "${missing[@]}" || { apt-get -q update >&2 && apt_install "${missing[@]}"; } \
        || fail "apt-get could not install ${missing[*]}"
}

# In run level 1 no package starts its service: Kannel's would serve on ports of its own.
apt_install() {
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >&2
}

# --- Synapse -------------------------------------------------------------------------------------

# A Python 3.11 that can make a virtual environment; Debian's first, it is the fastest build.
python_for_venv() {
    local python
    for python in /usr/bin/python3.11 python3.11 python3; do
        if have "$python" && "$python" -c "$CAN_MAKE_VENV" 2>/dev/null; then
            printf '%s\n' "$python"
            return 0
        fi
    done
    return 1
}
readonly CAN_MAKE_VENV='import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 11))'

# What a complete environment was made from: its own place (its scripts hold it) and the pins.
stamp() { printf '%s\n' "$VENV" | cat - "$REQUIREMENTS"; }

synapse_is_ready() {
    [[ -x $VENV/bin/python ]] && stamp | cmp -s - "$VENV/complete"
}

install_synapse() {
    synapse_is_ready && return 0
    local python
    python="$(python_for_venv)" || fail "no Python 3.11 that can make a virtual environment"
    say "installing Synapse into $VENV"
    rm -rf "$VENV"
    "$python" -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check --requirement "$REQUIREMENTS" >&2 \
        || fail "pip could not install Synapse"
    "$VENV/bin/python" -c 'import synapse.app.homeserver' || fail "the installed Synapse is broken"
    stamp >"$VENV/complete"
}

# --- cargo-fuzz ----------------------------------------------------------------------------------

install_cargo_fuzz() {
    cargo fuzz --version &>/dev/null && return 0
    say "installing cargo-fuzz"
    cargo install --quiet --locked --version "$CARGO_FUZZ" cargo-fuzz >&2 \
        || fail "cargo could not install cargo-fuzz"
}
readonly CARGO_FUZZ=0.13.2

main() {
    mkdir -p "$PEERS"
    exec 9>"$PEERS/setup.lock"
    flock 9
    install_packages
    install_synapse
    install_cargo_fuzz
    say "ready"
}

main
