#!/usr/bin/env bash
# Runs the configstore's test of clusters of two versions beside etcd 3.6, which
# is built once from the Go proxy into .bin/etcd36, or is the one that ETCD36
# names.
set -euo pipefail
cd "$(dirname "$0")/.."
version=3.6.7
tools=$PWD/.bin/etcd36

build() {
	local dir=$tools/build
	rm -rf "$dir" && mkdir -p "$dir" && cd "$dir"
	export GOWORK=off GOFLAGS=-mod=mod
	go mod init etcd36 2>/dev/null
	go get "go.etcd.io/etcd/server/v3@v$version"
	go build -o "$tools/etcd" go.etcd.io/etcd/server/v3 && echo "$version" >"$tools/version"
}
if [ -z "${ETCD36:-}" ]; then
	if [ "$(cat "$tools/version" 2>/dev/null)" != "$version" ]; then
		echo "building etcd $version"
		(build)
	fi
	export ETCD36=$tools/etcd
fi
go test -tags mixed -count 1 -timeout 10m -v -run '^TestMembersOfTwoVersions$' ./e2e/configstore
