#!/usr/bin/env bash
# Makes what the demo and the tests need and the machine lacks: Debian packages, Synapse and SMPP
# libraries of Python in virtual environments inside the build folder, and cargo-fuzz. Safe to run again; does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

PEERS="$(realpath -m "${CARGO_TARGET_DIR:-target}")/peers"
readonly PEERS

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
    have strace || printf '%s\n' strace
    { have redis-server && have redis-cli; } || printf '%s\n' redis-server redis-tools
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

# --- Python packages -------------------------------------------------------------------------------------

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

# environment NAME REQUIREMENTS MODULE: a complete virtual environment, made anew where its place (its
# scripts hold it) or its pins are others.
environment() {
    local venv="$PEERS/$1" python
    local made_of="$venv"$'\n'"$(<"$2")"
    [[ -x $venv/bin/python && -f $venv/complete && $(<"$venv/complete") == "$made_of" ]] && return 0
    python="$(python_for_venv)" || fail "no Python 3.11 that can make a virtual environment"
    say "installing ${2##*/} into $venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$2" >&2 \
        || fail "pip could not install what $2 lists"
    "$venv/bin/python" -c "import $3" || fail "what was installed from $2 is broken"
    printf '%s\n' "$made_of" >"$venv/complete"
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
    environment synapse-venv scripts/synapse-requirements.txt synapse.app.homeserver
    environment interop-venv scripts/interop-requirements.txt smpplib.client,smpp.pdu.pdu_encoding
    install_cargo_fuzz
    say "ready"
}

main
