#!/usr/bin/env bash
# docker.sh VERB:
#   start           install Docker where it is missing and start a daemon where
#                   none runs
#   stop            end the daemon that `start` started, and no other
#   images NAME...  build images (service full postgres nats; all without NAME)
#                   on a local base made by debootstrap: nothing is pulled
# BACKLOT_TAG is the images' tag (dev), BACKLOT_MIRROR the Debian mirror (the
# one that apt uses here), BACKLOT_DOCKERD_FLAGS are flags for the daemon.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOCKER_BUILDKIT=0
work=$PWD/.bin/docker
pid_file=$work/dockerd.pid
# Binaries are built here, so the base is what is here, where that is Debian.
suite=$(. /etc/os-release && [ "$ID" = debian ] && echo "${VERSION_CODENAME-}" || true)
suite=${suite:-bookworm}
base=backlot/base:$suite
# mirror_of CODENAME is the mirror that apt uses here for a suite.
mirror_of() {
	local used
	# shellcheck disable=SC2016 # apt expands it
	used=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $1" 2>/dev/null | sed -n 1p || true)
	[ -n "$used" ] || echo "docker.sh: apt has no mirror for $1; name a Debian mirror by BACKLOT_MIRROR" >&2
	echo "${used%/}"
}
mkdir -p "$work"

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)

install_missing() {
	local missing=()
	command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || missing+=(docker.io)
	command -v debootstrap >/dev/null || [ -x /usr/sbin/debootstrap ] || missing+=(debootstrap)
	[ ${#missing[@]} -gt 0 ] || return 0
	"${as_root[@]}" apt-get update -qq
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

answers() { docker info >/dev/null 2>&1; }

start() {
	if answers && docker image inspect "$base" >/dev/null 2>&1; then return; fi
	scripts/timed.sh "apt: docker, debootstrap" "$0" install
	for _ in $(seq 10); do # one that the package started
		if answers; then return; fi
		[ -d /run/systemd/system ] || break
		sleep 0.5
	done
	# shellcheck disable=SC2086 # flags are words
	"${as_root[@]}" sh -c 'nohup dockerd --group "$1" '"${BACKLOT_DOCKERD_FLAGS-}"' >"$2" 2>&1 & echo $! >"$3"' \
		sh "$(id -gn)" "$work/dockerd.log" "$pid_file"
	for _ in $(seq 120); do
		if answers; then return; fi
		[ -d "/proc/$(cat "$pid_file")" ] || break
		sleep 0.5
	done
	tail -n 20 "$work/dockerd.log" >&2
	echo "docker.sh: the daemon did not start; see $work/dockerd.log" >&2
	rm -f "$pid_file"
	return 1
}

stop() {
	[ -f "$pid_file" ] || return 0
	local pid
	pid=$(cat "$pid_file")
	rm -f "$pid_file"
	[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || return 0
	"${as_root[@]}" kill "$pid"
	for _ in $(seq 60); do
		[ -d "/proc/$pid" ] || return 0
		sleep 0.5
	done
	echo "docker.sh: the daemon $pid has not ended" >&2
	return 1
}

# base_image is a small Debian with certificates, without documents.
base_image() {
	if docker image inspect "$base" >/dev/null 2>&1; then return; fi
	local root mirror security
	mirror=${BACKLOT_MIRROR:-$(mirror_of "$suite")}
	security=$(mirror_of "$suite-security")
	[ -z "${BACKLOT_MIRROR-}" ] || security=${mirror%/debian}/debian-security
	root=$(mktemp -d)
	chmod 0755 "$root"
	"${as_root[@]}" /usr/sbin/debootstrap --variant=minbase --include=ca-certificates \
		"$suite" "$root" "$mirror" >"$work/debootstrap.log" || {
		tail -n 20 "$work/debootstrap.log" >&2
		"${as_root[@]}" rm -rf "$root"
		return 1
	}
	"${as_root[@]}" sh -eu -s "$root" "$suite" "$mirror" "$security" <<'ROOT'
cd "$1"
cat >etc/apt/sources.list <<LIST
deb $3 $2 main
deb $3 $2-updates main
deb $4 $2-security main
LIST
cat >etc/dpkg/dpkg.cfg.d/image <<'CFG'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
CFG
printf '#!/bin/sh\nexit 101\n' >usr/sbin/policy-rc.d
chmod 0755 usr/sbin/policy-rc.d
rm -rf var/cache/apt/* var/lib/apt/lists/* var/log/* dev/* \
	usr/share/doc/* usr/share/man/* usr/share/info/* usr/share/locale/* usr/share/lintian/*
ROOT
	"${as_root[@]}" tar -C "$root" -c . | docker import - "$base" >/dev/null
	"${as_root[@]}" rm -rf "$root"
}

# binary TARGET builds what an image holds.
binary() {
	local version out=$work/$1
	version=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
	local flags=(-trimpath -ldflags "-s -w -X github.com/backlot-video/backlot/kit/lifecycle.Version=$version")
	case $1 in
	service) CGO_ENABLED=0 GOOS=linux go build "${flags[@]}" -o "$out/" ./cmd/backlot ;;
	full) CGO_ENABLED=1 go build "${flags[@]}" -tags openblas -o "$out/" ./cmd/backlot ;;
	nats) (cd kit && CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags "-s -w" -o "$out/" github.com/nats-io/nats-server/v2) ;;
	esac
}

image() {
	local out=$work/$1
	mkdir -p "$out"
	if [ "$1" != postgres ]; then nice scripts/timed.sh "binary $1" "$0" binary "$1"; fi
	for file in deploy/docker/"$1".*; do
		[ "$file" = "deploy/docker/$1.Dockerfile" ] || cp "$file" "$out/"
	done
	scripts/timed.sh "image $1" "$0" build "$1"
}

build() {
	docker build -q --force-rm --network host --build-arg "BASE=$base" -t "backlot/$1:${BACKLOT_TAG:-dev}" \
		-f "deploy/docker/$1.Dockerfile" "$work/$1" >"$work/$1.log" 2>&1 || {
		tail -n 30 "$work/$1.log" >&2
		return 1
	}
}

images() {
	[ $# -gt 0 ] || set -- service full postgres nats
	scripts/timed.sh "image base" "$0" base
	local name
	for name in "$@"; do image "$name"; done
}

verb=${1-}
shift || true
case $verb in
start) start ;;
stop) stop ;;
images) images "$@" ;;
# Parts that are timed by themselves.
install) install_missing ;;
base) base_image ;;
binary) binary "$1" ;;
build) build "$1" ;;
*)
	sed -n '2,9s/^# \?//p' "$0"
	exit 2
	;;
esac
