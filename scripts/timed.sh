#!/usr/bin/env bash
# timed.sh NAME CMD... runs a part of the work and prints its wall time. Where
# BACKLOT_TIMES names a file, the line is appended to it as well.
set -uo pipefail
name=$1
shift
began=$(date +%s%N)
"$@"
code=$?
took=$((($(date +%s%N) - began) / 100000000))
word=ok
[ "$code" -eq 0 ] || word="FAILED ($code)"
line=$(printf '%-28s %6d.%d s  %s' "$name" $((took / 10)) $((took % 10)) "$word")
echo "== $line"
[ -z "${BACKLOT_TIMES-}" ] || echo "$line" >>"$BACKLOT_TIMES"
exit "$code"
