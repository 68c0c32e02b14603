#!/usr/bin/env bash
# Runs sqlc, after building the one that tools/sqlc pins, on sql/sqlc.yaml.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/tool.sh sqlc
exec .bin/sqlc "$@" --file sql/sqlc.yaml
