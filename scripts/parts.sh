#!/usr/bin/env bash
# parts.sh PART... runs each make verb as a timed part, goes on after a
# failure, ends with the list of times, and fails if a part did.
set -uo pipefail
cd "$(dirname "$0")/.."
BACKLOT_TIMES=$(mktemp)
export BACKLOT_TIMES
trap 'rm -f "$BACKLOT_TIMES"' EXIT
began=$SECONDS
failed=0
for part in "$@"; do
	scripts/timed.sh "$part" make --no-print-directory "$part" || failed=1
done
echo
echo "wall time of each part:"
sed 's/^/  /' "$BACKLOT_TIMES"
echo "  total $((SECONDS - began)) s"
exit "$failed"
