#!/usr/bin/env bash
# Compares the protos with the latest release; before the first, with HEAD^.
set -euo pipefail
cd "$(dirname "$0")/.."
ref=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || echo 'HEAD^')
if ! git rev-parse --quiet --verify "$ref:proto/backlot" >/dev/null; then
	echo "breaking: $ref has no protos to compare with"
	exit 0
fi
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git archive "$ref" proto/backlot | tar -x -C "$before"
cp buf.yaml "$before/"
scripts/protodeps.sh
mkdir -p "$before/proto/.deps"
cp -r proto/.deps/protovalidate "$before/proto/.deps/"
scripts/buf.sh breaking --against "$before"
echo "breaking: nothing since $ref"
