#!/usr/bin/env bash
# tool.sh NAME builds the command that tools/NAME/go.mod pins into .bin, once
# per go.mod: these take minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
if [ ".bin/$name" -nt "tools/$name/go.mod" ]; then exit 0; fi
mkdir -p .bin
cd "tools/$name"
GOWORK=off GOFLAGS='' GOBIN="$PWD/../../.bin" nice -n 10 go install tool
touch "../../.bin/$name"
