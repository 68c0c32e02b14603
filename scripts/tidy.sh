#!/usr/bin/env bash
# Tidies every go.mod as if there were no workspace; tidy.sh -diff only shows
# what would change, and fails if anything would. tools/goreleaser is left
# out: a test of a dependency of its wants a module that no proxy serves.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off
failed=0
for file in $(git ls-files '*/go.mod' ':!tools/goreleaser'); do
	said=$(cd "$(dirname "$file")" && go mod tidy "$@" 2>&1) && continue
	printf '%s: not tidy (make tidy):\n%s\n' "$file" "$(head -n 20 <<<"$said")" >&2
	failed=1
done
exit "$failed"
