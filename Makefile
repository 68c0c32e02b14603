# The verbs of the house; `make help` explains them. Longer recipes live in scripts/.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# BLAS is linked on linux/amd64; the recommender's own kernels serve elsewhere.
TAGS := $(shell [ "$$(go env GOOS)/$$(go env GOARCH)" = linux/amd64 ] && echo openblas)
# Some shells force a kernel of OpenBLAS that the processor lacks.
unexport OPENBLAS_CORETYPE OPENBLAS_L2_SIZE

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^## /{print "\n" substr($$0, 4)} /^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Use
.PHONY: deps build run run-split demo
deps: ## install what is missing of the system (ffmpeg, OpenBLAS, PostgreSQL, npm); quiet when all is there
	@scripts/deps.sh
build: ## build backlot and every service into .bin
	@scripts/build.sh "$(TAGS)"
run: deps build ## start everything in one process, drive the journey, print its receipt, keep serving
	@.bin/backlot run
run-split: deps build ## the same with every service as a process of its own
	@scripts/run-split.sh
demo: build ## drive the journey through a backlot that is up (VIDEO=FILE for a video of yours)
	@.bin/backlot demo $(if $(VIDEO),--video "$(VIDEO)")

## Change
.PHONY: generate verify lint fmt tidy
generate: ## generate proto/gen and sql/gen
	@scripts/generate.sh
verify: ## generated code current, protos linted and compatible, modules tidy; a planted break is refused
	@scripts/verify.sh
lint: ## golangci-lint over every module
	@scripts/lint.sh run
fmt: ## format Go files
	@scripts/lint.sh fmt
tidy: ## go mod tidy in every module
	@scripts/tidy.sh

## Test
.PHONY: test test-short test-all unit differential simulation gate conformance gateway-proofs gateway-soak kubernetes cluster cluster-proofs cluster-power cluster-mixed wan journey outside soak e2e e2e-smoke bench cover vuln
test: ## everything but containers, with the race detector: verify, unit, both databases, the journey, kills
	@scripts/parts.sh deps verify unit differential simulation gate cluster journey
test-short: ## unit tests alone, without the race detector
	@scripts/unit.sh -tags "$(TAGS)"
test-all: ## test, lint, a soak, containers, known vulnerabilities and a release snapshot
	@scripts/parts.sh deps verify unit differential simulation gate cluster journey outside conformance kubernetes cluster-proofs cluster-mixed soak lint e2e vuln snapshot
unit: ## unit and conformance tests of every module, with the race detector
	@scripts/unit.sh -race -tags "$(TAGS)"
differential: ## the rule language against cel-go and expr on 100,000 generated expressions
	@scripts/differential.sh
simulation: ## the coordinator in 10,000 worlds where all goes wrong, without the race detector, which dies of it now and then
	@go test -count 1 -timeout 10m -v -run '^TestSimulation$$' ./services/coordinator/internal/simulation
journey: ## e2e without containers: import rules, the journey, kills
	@go test -count 1 -timeout 20m -skip '^TestOutside' $$(go list ./e2e/... | grep -Ev '/e2e/(gate|configstore)$$')
gate: ## the gateway's real binary under load: configurations change, a new binary takes over, upstreams die
	@go test -count 1 -timeout 10m -v ./e2e/gate
conformance: ## suites of others against the gateway: h2spec, Connect, gRPC interop, probes beside nginx and HAProxy
	@scripts/conformance.sh
gateway-proofs: ## the headline whole: 1,000 configurations under load, 1,000,000 requests, p99.9 (4 min of a quiet machine)
	@BACKLOT_SWAPS=1000 BACKLOT_SWAP_REQUESTS=1000000 BACKLOT_SWAP_WINDOW_MS=6000 go test -count 1 -timeout 20m -v -run TestConfigurations ./e2e/gate
gateway-soak: ## the gateway at 80% load for 10 minutes while upstreams die: nothing leaks
	@BACKLOT_GATE_SOAK=10m go test -count 1 -timeout 30m -v -run TestNothingLeaks ./e2e/gate
kubernetes: ## informers and the gateway beside a real kube-apiserver over `configstore etcd` (builds it: 10 min once; root)
	@scripts/kubernetes.sh
cluster: ## three members of the configstore are killed, cut off and filled up under load; what clients saw is checked (BACKLOT_SEED=n)
	@go test -count 1 -timeout 10m -v ./e2e/configstore
cluster-proofs: ## the same for long: every fault 10 times
	@BACKLOT_ROUNDS=10 BACKLOT_SEED=$${BACKLOT_SEED:-1000} go test -count 1 -timeout 30m -v -run TestMembersDie ./e2e/configstore
cluster-power: ## the same where what was not synced is lost: members on LazyFS (LAZYFS=path of its binary; needs /dev/fuse and root)
	@LAZYFS="$(LAZYFS)" go test -tags lazyfs -count 1 -timeout 10m -v -run '^TestPower' ./e2e/configstore
cluster-mixed: ## etcd 3.6 and `configstore etcd` in one cluster under load: join, roll, go back (builds etcd 3.6 once, or ETCD36=path)
	@scripts/mixed.sh
wan: ## the configstore's members 75 and 150 ms apart, with stalls: profiles in a table (6 min, mostly asleep)
	@mkdir -p .bin; go test -tags wan -count 1 -timeout 20m -parallel 16 -v -run TestWANTable ./services/configstore/internal/engine 2>&1 | tee .bin/wan.log | \
		grep -E '^ +\||changed|^(ok|FAIL|---)' || { tail -n 60 .bin/wan.log; exit 1; }
outside: ## start times, idle memory, traces, operations addresses of the binaries
	@go test -count 1 -timeout 10m -v -run '^TestOutside' ./e2e/journey
soak: ## journeys one after the other for BACKLOT_SOAK (3m): memory stays, books hold
	@go test -count 1 -timeout 2h -tags soak -run TestSoak -v ./e2e/journey
e2e: ## the journey against container images (installs and starts Docker where none runs)
	@scripts/e2e.sh
e2e-smoke: ## the shortest way through the built images
	@scripts/e2e.sh -run Smoke
bench: ## measurements against peers, side by side (NAME=rules for a group, NAME=rules/one for one)
	@go run -tags "$(TAGS)" ./bench $(NAME)
cover: ## coverage of each module, as coverage/*.html
	@scripts/cover.sh -tags "$(TAGS)"
vuln: ## known vulnerabilities in what is called (VULNDB=URL for another database)
	@scripts/vuln.sh

## Ship
.PHONY: snapshot clean
snapshot: ## archives and images of this commit in dist/, not published
	@scripts/snapshot.sh
clean: ## remove what was built; data/ stays
	rm -rf .bin dist coverage proto/.deps tools/buf/node_modules
