#!/usr/bin/env bash
# snapshot.sh FLAG... makes the archives of this commit in dist/, unpublished.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/tool.sh goreleaser
scripts/tool.sh cyclonedx-gomod sbom
# Before the first release there is no tag to count from.
git describe --tags --abbrev=0 >/dev/null 2>&1 || export GORELEASER_CURRENT_TAG=v0.0.0
BUILD_COMMIT=$(git rev-parse --short HEAD)
BUILD_TIMESTAMP=$(git log -1 --format=%ct)
BUILD_DATE=$(TZ=UTC git log -1 --date='format-local:%Y-%m-%dT%H:%M:%SZ' --format=%cd)
export BUILD_COMMIT BUILD_TIMESTAMP BUILD_DATE
PATH=$PWD/.bin:$PATH exec .bin/goreleaser release --snapshot --clean --parallelism 2 "$@"
