#!/bin/sh
# Checks the files of systemd: the unit has no mistake and exposes little, and the user and the
# directories can be made. Fails with a message when one does not hold.
#
# Needs systemd 252 or later; as root it is installed through apt where it is missing.
set -eu

# The most exposure that `systemd-analyze security` may find, in tenths: 13 is 1.3 of 10.
MAX_EXPOSURE=13

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "systemd/check.sh: $*" >&2
    exit 1
}

find_tools() {
    if ! command -v systemd-analyze >/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends systemd >/dev/null
    fi
    command -v systemd-analyze >/dev/null || fail "systemd-analyze is missing; install systemd"
}

# The binary may not be installed here, so that a program that is takes its place.
verify_unit() {
    sed 's|^ExecStart=/usr/bin/matrix-smpp |ExecStart=/bin/true |' \
        "$here/matrix-smpp.service" >"$work/matrix-smpp.service"
    grep -q '^ExecStart=/bin/true run --config ' "$work/matrix-smpp.service" ||
        fail "ExecStart does not run /usr/bin/matrix-smpp"
    # What verify says of a mistake it may say with exit status 0.
    systemd-analyze verify --man=no --recursive-errors=no "$work/matrix-smpp.service" \
        >"$work/verify" 2>&1 || { cat "$work/verify" >&2; fail "the unit does not verify"; }
    if grep -q 'matrix-smpp\.service' "$work/verify"; then
        cat "$work/verify" >&2
        fail "the unit has mistakes"
    fi
}

measure_exposure() {
    systemd-analyze security --offline=true --no-pager --threshold="$MAX_EXPOSURE" \
        "$work/matrix-smpp.service" >"$work/security" 2>&1 || {
        cat "$work/security" >&2
        fail "the exposure is above $MAX_EXPOSURE tenths"
    }
    grep 'Overall exposure' "$work/security" || fail "the exposure was not measured"
}

# Makes the user and the directories below an empty root. Only root may give files away.
make_user_and_directories() {
    if [ "$(id -u)" != 0 ]; then
        echo "systemd/check.sh: not root; the user and the directories are not tried" >&2
        return
    fi
    mkdir -p "$work/root/etc"
    systemd-sysusers --root="$work/root" "$here/matrix-smpp.sysusers" || fail "sysusers failed"
    grep -q '^matrix-smpp:' "$work/root/etc/passwd" || fail "the user was not made"
    systemd-tmpfiles --root="$work/root" --create "$here/matrix-smpp.tmpfiles" ||
        fail "tmpfiles failed"
    [ "$(stat -c %a "$work/root/var/lib/matrix-smpp")" = 700 ] || fail "the data is not private"
}

find_tools
verify_unit
measure_exposure
make_user_and_directories
echo "systemd: ok"
