#!/usr/bin/env bash
# build.sh TAGS builds backlot and every service into .bin.
set -euo pipefail
cd "$(dirname "$0")/.."
tags=$1
case ",$tags," in
*,openblas,*) export CGO_ENABLED=1 ;;
*) export CGO_ENABLED=0 ;;
esac
version=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
mkdir -p .bin
go build -trimpath -tags "$tags" -o .bin/ \
	-ldflags "-s -w -X github.com/backlot-video/backlot/kit/lifecycle.Version=$version" \
	./cmd/backlot ./services/*/cmd/*
