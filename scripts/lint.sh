#!/usr/bin/env bash
# lint.sh run|fmt runs golangci-lint on every module. "work" as its pattern
# would be a false pass, so it gets every module's folder.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/tool.sh golangci-lint
modules=$(scripts/modules.sh)
if [ "$1" = run ]; then modules=$(sed 's|.*|./&/...|' <<<"$modules"); fi
xargs .bin/golangci-lint "$@" <<<"$modules"
