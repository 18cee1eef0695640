#!/usr/bin/env bash
# Runs each fuzz target for some seconds, beginning with the committed seeds and with what earlier runs
# found, which stays in the build folder. What breaks a target is left in fuzz/artifacts.
# Usage: fuzz.sh SECONDS [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."

readonly SECONDS_EACH="${1:?seconds for each target}"
shift
FOUND="$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz-corpus"
readonly FOUND

# The stable toolchain has no sanitizers, and code without `unsafe` needs none.
readonly FLAGS=(--fuzz-dir fuzz --sanitizer none)
readonly LIMITS=(-max_len=4096 -timeout=10 -rss_limit_mb=1024 -print_final_stats=0 -verbosity=0)

mapfile -t targets < <((($#)) && printf '%s\n' "$@" || cargo fuzz list --fuzz-dir fuzz)

cargo fuzz build "${FLAGS[@]}"
for target in "${targets[@]}"; do
    printf 'fuzz: %s for %s s\n' "$target" "$SECONDS_EACH" >&2
    mkdir -p "$FOUND/$target"
    cargo fuzz run "${FLAGS[@]}" "$target" "$FOUND/$target" "fuzz/corpus/$target" -- \
        "${LIMITS[@]}" -max_total_time="$SECONDS_EACH"
done
