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
part tagged go vet -tags 'conformance kubernetes lazyfs mixed soak wan' ./e2e/configstore ./e2e/gate ./e2e/kubernetes ./e2e/journey ./services/configstore/internal/engine
part tidy scripts/tidy.sh -diff
exit "$failed"
