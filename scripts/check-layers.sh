#!/usr/bin/env bash
# Holds who may know whom: codec <- smpp <- gateway, config on codec alone, the load tools beside
# the gateway, and the gateway's deciding code free of input and output.
set -euo pipefail
cd "$(dirname "$0")/.."

failures=0

# knows PACKAGE PATTERN: the package's normal dependencies, at any depth, that match the pattern.
knows() {
    cargo tree --locked --package "$1" --edges normal --prefix none --format '{p}' \
        | cut -d' ' -f1 | sort -u | grep -Ex "$2" | grep -Fxv "$1" || true
}

# forbid PACKAGE PATTERN WHY
forbid() {
    local found
    found="$(knows "$1" "$2")"
    [[ -z $found ]] && return 0
    printf 'layers: %s must not know %s: %s\n' "$1" "$(tr '\n' ' ' <<<"$found")" "$3" >&2
    failures=$((failures + 1))
}

# require PACKAGE OTHER: a rule about a package that is not in the tree would hold for nothing.
require() {
    [[ -n $(knows "$1" "$2") ]] && return 0
    printf 'layers: %s should know %s; was a package renamed?\n' "$1" "$2" >&2
    failures=$((failures + 1))
}

# `tokio::` and its like in the pure modules, comments and tests included.
check_pure_modules() {
    local found
    [[ -d src/gateway ]] || { echo "layers: src/gateway is gone" >&2; exit 1; }
    found="$(grep -rnE '(tokio|redis|rusqlite|reqwest|axum)::' src/gateway || true)"
    if [[ -n $found ]]; then
        printf 'layers: src/gateway decides and must not do input or output:\n%s\n' "$found" >&2
        failures=$((failures + 1))
    fi
    found="$(grep -rnE 'crate::(smsc|flow|matrix|store|ops|app|cli|crew)\b' src/gateway || true)"
    if [[ -n $found ]]; then
        printf 'layers: src/gateway knows none of the modules that move things:\n%s\n' "$found" >&2
        failures=$((failures + 1))
    fi
}

forbid matrix-smpp-codec 'matrix-smpp.*|tokio.*|async-.*|futures.*|axum|hyper|reqwest' \
    'bytes to values, no clock, no input or output'
forbid matrix-smpp-session 'matrix-smpp|matrix-smpp-(config|loadtest)' 'it knows the codec only'
forbid matrix-smpp-config 'matrix-smpp|matrix-smpp-(session|loadtest)|tokio' 'it knows the codec only'
forbid matrix-smpp-loadtest 'matrix-smpp|matrix-smpp-config' \
    'it meets the gateway over TCP and HTTP only'
forbid matrix-smpp 'matrix-smpp-loadtest' 'the gateway does not ship its test tools'
require matrix-smpp-session matrix-smpp-codec
require matrix-smpp-loadtest matrix-smpp-session
require matrix-smpp matrix-smpp-config
check_pure_modules

((failures == 0)) || exit 1
echo "layers: held"
