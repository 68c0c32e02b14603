#!/usr/bin/env bash
# Proves that buf breaking can fail: plants a breaking change in a copy of the
# protos and expects it to be refused.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
scripts/protodeps.sh
mkdir "$copy/proto"
cp buf.yaml "$copy/"
cp -r proto/backlot proto/.deps "$copy/proto/"
# The currency of money gets another number.
sed -i.orig 's/\(string currency = \)[0-9]\+/\1 77/' "$copy/proto/backlot/money/v1/money.proto"
if cmp -s "$copy/proto/backlot/money/v1/money.proto" proto/backlot/money/v1/money.proto; then
	echo "verify-breaking: nothing was planted" >&2
	exit 1
fi
if said=$(scripts/buf.sh breaking "$copy" --against . 2>&1); then
	echo "verify-breaking: buf let a planted breaking change pass" >&2
	exit 1
fi
if ! grep -q 'money.proto.*"currency"' <<<"$said"; then
	echo "verify-breaking: buf failed of something else: $said" >&2
	exit 1
fi
echo "verify-breaking: a planted change is refused: $said"
