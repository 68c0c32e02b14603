#!/usr/bin/env bash
# unit.sh FLAG... runs the tests of every module but e2e, each as a timed
# part, with the flags given to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
for module in $(scripts/modules.sh); do
	if [ "$module" = e2e ]; then continue; fi
	scripts/timed.sh "unit $module" go test "$@" "./$module/..." || failed=1
done
exit "$failed"
