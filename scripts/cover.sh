#!/usr/bin/env bash
# cover.sh FLAG... writes coverage/<module>.out and .html for each module but
# e2e, and prints the share of statements that tests reach.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p coverage
for module in $(scripts/modules.sh); do
	if [ "$module" = e2e ]; then continue; fi
	profile=$PWD/coverage/${module//\//-}
	go test "$@" -coverprofile="$profile.out" "./$module/..." >"$profile.log" || { cat "$profile.log"; exit 1; }
	(cd "$module" && go tool cover -html="$profile.out" -o "$profile.html")
	printf '%-28s %s\n' "$module" "$(cd "$module" && go tool cover -func="$profile.out" | sed -n 's/^total:.*[\t ]//p')"
done
