#!/usr/bin/env bash
# Puts buf/validate/validate.proto into proto/.deps, from the Go module that
# ships it: there is no other registry to ask.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v1.2.2
out=proto/.deps/protovalidate
if [ -e "$out/.$version" ]; then exit 0; fi
dir=$(cd / && GOWORK=off GOFLAGS=-mod=mod go mod download -json "github.com/bufbuild/protovalidate@$version" | sed -n 's/^\t*"Dir": "\(.*\)",*$/\1/p')
rm -rf "$out"
mkdir -p "$out/buf/validate"
install -m 0644 "$dir/proto/protovalidate/buf/validate/validate.proto" "$out/buf/validate/"
touch "$out/.$version"
