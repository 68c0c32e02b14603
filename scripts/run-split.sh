#!/usr/bin/env bash
# Runs every service as a process of its own on 127.0.0.1, drives the journey
# through them and keeps serving until interrupted. Logs are in data/log.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p data/log
processes=()

stop() {
	trap - EXIT INT TERM
	# The gateway was started last and stops first.
	for ((i = ${#processes[@]} - 1; i >= 0; i--)); do
		kill -TERM "${processes[i]}" 2>/dev/null || true
		wait "${processes[i]}" 2>/dev/null || true
	done
}
trap stop EXIT
trap 'stop; exit 130' INT TERM

# start NAME OPS COMMAND... starts a process and waits until it is ready.
start() {
	local name=$1 ops=$2
	"${@:3}" >"data/log/$name.log" 2>&1 &
	local process=$!
	processes+=("$process")
	for ((try = 0; try < 300; try++)); do
		if .bin/backlot healthcheck --address "http://127.0.0.1:$ops/readyz" >/dev/null 2>&1; then
			echo "$name is ready"
			return
		fi
		kill -0 "$process" 2>/dev/null || break
		sleep 0.1
	done
	echo "$name did not get ready:" >&2
	tail -n 20 "data/log/$name.log" >&2
	exit 1
}

start mq 9108 .bin/backlot mq
start configstore 9101 .bin/configstore --mq-url nats://127.0.0.1:4222
common=(--configstore 127.0.0.1:8101 --mq-url nats://127.0.0.1:4222)
for service in rules:9105 settlement:9104 coordinator:9103 storefront:9102 transcoder:9107 recommender:9106 gateway:9100; do
	start "${service%:*}" "${service#*:}" ".bin/${service%:*}" "${common[@]}"
done
.bin/backlot demo
echo "backlot keeps serving; Ctrl-C stops it"
wait
