#!/usr/bin/env bash
# Runs buf, after installing the one that tools/buf pins and the protos that
# ours import.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ tools/buf/package-lock.json -nt tools/buf/node_modules/.installed ]; then
	# npm ci would refuse the lock: not every platform's binary is in the registry.
	(cd tools/buf && npm install --no-save --no-audit --no-fund --loglevel=error >/dev/null && touch node_modules/.installed)
fi
scripts/protodeps.sh
exec tools/buf/node_modules/.bin/buf "$@"
