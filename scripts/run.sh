#!/usr/bin/env bash
# Starts every service in one process, drives the journey through it and keeps
# serving until interrupted.
set -euo pipefail
cd "$(dirname "$0")/.."
.bin/backlot up "$@" &
backlot=$!
trap 'kill -TERM "$backlot" 2>/dev/null; wait "$backlot"' EXIT INT TERM
.bin/backlot demo
echo "backlot keeps serving; Ctrl-C stops it"
wait "$backlot"
