#!/usr/bin/env bash
# Generates the Go code of proto and sql, or, with --check, says what of the
# committed code is not what would be generated.
#
# The code of proto is made aside and then only what differs is copied, so
# that builds that run meanwhile do not see half of it.
set -euo pipefail
cd "$(dirname "$0")/.."

aside=$(mktemp -d)
trap 'rm -rf "$aside"' EXIT

(cd tools && GOWORK=off GOBIN="$PWD/../.bin" go install tool ./protoc-gen-backlot)
scripts/buf.sh generate --output "$aside"

if [ "${1-}" = --check ]; then
	diff -r "$aside/proto/gen" proto/gen
	scripts/sqlc.sh diff
	exit 0
fi

mkdir -p proto/gen
(cd "$aside/proto/gen" && find . -type f) | while read -r file; do
	cmp -s "$aside/proto/gen/$file" "proto/gen/$file" || install -D -m 0644 "$aside/proto/gen/$file" "proto/gen/$file"
done
(cd proto/gen && find . -type f) | while read -r file; do
	[ -e "$aside/proto/gen/$file" ] || rm "proto/gen/$file"
done
scripts/sqlc.sh generate
