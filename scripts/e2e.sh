#!/usr/bin/env bash
# e2e.sh FLAG... runs the container tests against images of this work tree;
# flags go to `go test`. With `-run Smoke` only the all-in-one image is built.
# A Docker daemon that had to be started is ended again.
set -euo pipefail
cd "$(dirname "$0")/.."
export TESTCONTAINERS_RYUK_DISABLED=true TESTCONTAINERS_HOST_OVERRIDE=127.0.0.1
images=()
[[ "$*" != *Smoke* ]] || images=(full)
scripts/deps.sh
trap scripts/docker.sh\ stop EXIT
scripts/docker.sh start
scripts/docker.sh images "${images[@]}"
scripts/timed.sh "container tests" go test -count 1 -timeout 20m -tags containers -v "${@:--run=^TestContainer|Smoke}" ./e2e
