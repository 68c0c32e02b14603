#!/usr/bin/env bash
# Looks for known vulnerabilities in what each module calls. VULNDB names a
# database other than vuln.go.dev: a URL, file:// too.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/tool.sh govulncheck vuln
database=()
[ -z "${VULNDB-}" ] || database=(-db "$VULNDB")
failed=0
for module in $(scripts/modules.sh); do
	scripts/timed.sh "vuln $module" .bin/govulncheck "${database[@]}" -C "$module" ./... || failed=1
done
exit "$failed"
