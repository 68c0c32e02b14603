#!/usr/bin/env bash
# Prints the folder of each module of the workspace, relative to the root.
set -euo pipefail
cd "$(dirname "$0")/.."
sed -n 's/^[\t ]\+\.\///p' go.work
