# The house's verbs. Recipes live in scripts/.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

.PHONY: generate
generate: ## generate proto/gen and sql/gen
	@scripts/generate.sh
