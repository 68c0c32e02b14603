#!/usr/bin/env bash
# tool.sh NAME [FOLDER] builds the command that tools/FOLDER/go.mod pins (of
# the same name where there is no FOLDER) into .bin, once per go.mod: these
# take minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
folder=tools/${2-$1}
if [ ".bin/$name" -nt "$folder/go.mod" ]; then exit 0; fi
mkdir -p .bin
(cd "$folder" && GOWORK=off GOFLAGS='' GOBIN="$OLDPWD/.bin" nice -n 10 go install tool)
touch ".bin/$name"
