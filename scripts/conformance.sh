#!/usr/bin/env bash
# Runs suites that others wrote against the gateway. They come from the
# registries at exact versions into .bin/conformance, or, where they are in none,
# from folders that the environment names; what cannot be had is skipped, loudly.
#
#   H2SPEC_DIR       source of h2spec v2.6.0 (the proxy has v2.2.1: 145 of 146 cases)
#   HTTP11PROBE_DIR  source of Http11Probe (github.com/MDA2AV/Http11Probe)
#   SMUGGLER_DIR     smuggler (github.com/defparam/smuggler)
#
# Probes are compared with nginx and HAProxy in the same run; WebSocket peers are
# python3-websockets, python3-autobahn and coder/websocket.
# BACKLOT_E2E_GATE_ENGINE=epoll runs all of it, and make gate, over the event loops.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/.bin/conformance
mkdir -p "$tools"

# install BINARY PACKAGE@VERSION: once for each version.
install() {
	[ "$(cat "$tools/$1.version" 2>/dev/null)" = "$2" ] && return
	echo "installing $2"
	GOWORK=off GOFLAGS=-mod=mod GOBIN=$tools go install "$2" && echo "$2" >"$tools/$1.version" ||
		echo "SKIPPED: $2 cannot be had"
}
for program in connectconformance referenceserver referenceclient; do
	install "$program" "connectrpc.com/conformance/cmd/$program@v1.0.7"
done
for program in client server; do
	install "$program" "google.golang.org/grpc/interop/$program@v1.85.0"
done
if [ -n "${H2SPEC_DIR:-}" ]; then
	(cd "$H2SPEC_DIR" && GOWORK=off go build -o "$tools/h2spec" ./cmd/h2spec) && rm -f "$tools/h2spec.version"
else
	install h2spec github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
fi
for program in nginx haproxy; do
	command -v "$program" >/dev/null || echo "SKIPPED: no $program to compare probes with (apt-get install --no-install-recommends nginx-light haproxy)"
done

BACKLOT_CONFORMANCE_TOOLS=$tools go test -count 1 -timeout 40m -v -tags conformance \
	-run '^(TestH2spec|TestGRPCInterop|TestConnectConformance|TestWebSocketPeers|TestWebSocketCoder|TestHTTP11Probe|TestSmuggler)$' ./e2e/gate
