#!/usr/bin/env bash
# Runs e2e/kubernetes against a real kube-apiserver, which is built once from
# the Go proxy into .bin/kubernetes (ten minutes on 2 cores), or is the one that
# KUBE_APISERVER names. The tests run in a network namespace of their own, with
# an address that EndpointSlices may name: that takes root.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.36.3
tools=$PWD/.bin/kubernetes

# build makes the module of a program that Kubernetes, with its staging modules
# replaced by those of the same release, can be built in.
build() {
	local dir=$tools/build description modules
	rm -rf "$dir" && mkdir -p "$dir" && cd "$dir"
	description=$(GOWORK=off go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p')
	modules=$(sed -nE 's/^\s*(k8s.io\/[a-z-]+) v0.0.0$/\1/p' "$description" | sort -u)
	export GOWORK=off GOFLAGS=-mod=mod
	go mod init kubernetes 2>/dev/null
	go mod edit -require="k8s.io/kubernetes@v$version"
	for module in $modules; do
		go mod edit -replace="$module=$module@v0${version#1}"
	done
	printf '//go:build tools\n\npackage tools\n\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver"\n' >tools.go
	go build -o "$tools/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver && echo "$version" >"$tools/version"
}
if [ -z "${KUBE_APISERVER:-}" ]; then
	if [ "$(cat "$tools/version" 2>/dev/null)" != "$version" ]; then
		echo "building kube-apiserver $version"
		(build)
	fi
	export KUBE_APISERVER=$tools/kube-apiserver
fi
if [ "$(id -u)" != 0 ]; then
	echo "a network namespace takes root: run it by sudo" >&2
	exit 2
fi
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/" ./services/configstore/cmd/configstore ./services/gateway/cmd/gateway
go test -tags kubernetes -c -o "$bin/test" ./e2e/kubernetes
cd e2e/kubernetes
BACKLOT_E2E_BIN=$bin unshare --net sh -c '
	ip link set lo up && ip address add 10.213.0.1/32 dev lo && exec "$@"' sh "$bin/test" -test.v -test.timeout 10m -test.count 1 "$@"
