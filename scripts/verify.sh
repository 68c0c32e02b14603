#!/usr/bin/env bash
# Proves that what is committed is current and compatible.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
part() { scripts/timed.sh "verify $1" "${@:2}" || failed=1; }
part generated scripts/generate.sh --check
part lint scripts/buf.sh lint
part breaking scripts/breaking.sh
part planted scripts/verify-breaking.sh
part tidy scripts/tidy.sh -diff
exit "$failed"
