#!/usr/bin/env bash
# snapshot.sh FLAG... makes the archives of this commit in dist/, unpublished.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/tool.sh goreleaser
scripts/tool.sh cyclonedx-gomod sbom
# Before the first release there is no tag to count from.
git describe --tags --abbrev=0 >/dev/null 2>&1 || export GORELEASER_CURRENT_TAG=v0.0.0
PATH=$PWD/.bin:$PATH exec .bin/goreleaser release --snapshot --clean --parallelism 2 "$@"
