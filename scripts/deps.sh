#!/usr/bin/env bash
# Installs what Backlot needs of the system where it is missing: FFmpeg,
# OpenBLAS, PostgreSQL for tests, npm for buf. Silent where all is there.
set -euo pipefail
missing=()
has() { command -v "$1" >/dev/null 2>&1; }
# any PATTERN... succeeds where a file matches one of the patterns.
any() {
	for pattern in "$@"; do compgen -G "$pattern" >/dev/null && return; done
	return 1
}
has ffmpeg && has ffprobe || missing+=(ffmpeg)
has npm || missing+=(npm)
has make || missing+=(make)
has gcc || has clang || missing+=(gcc libc6-dev)
if [ "$(uname)" = Linux ]; then
	any '/usr/include/cblas.h' '/usr/include/*/cblas.h' || missing+=(libopenblas-dev)
	any '/usr/lib/gcc/*/*/libgfortran.*' || missing+=(libgfortran-12-dev)
	has initdb || any '/usr/lib/postgresql/*/bin/initdb' || missing+=(postgresql)
fi
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
if ! has apt-get; then
	echo "deps: please install: ${missing[*]}" >&2
	exit 1
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
echo "deps: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
# postgresql would start a server of its own; tests start theirs.
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
	"${as_root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
	echo "create_main_cluster = false" | "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/backlot.conf >/dev/null
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
