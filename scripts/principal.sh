#!/usr/bin/env bash
# Prints a signed principal for calling a service without the gateway, good
# for 50 s:
#
#   scripts/principal.sh <data folder> viewer|creator|operator|service <id> [tenant]
#   curl -H "Backlot-Principal: $(scripts/principal.sh data operator me)" ...
#
# Who can read the cluster key can be anybody: keep it to operators.
set -euo pipefail
case ${2:?kind} in viewer) kind=02 ;; creator) kind=03 ;; operator) kind=04 ;; service) kind=05 ;; *) echo "$2: no such kind" >&2; exit 2 ;; esac
id=${3:?id}
tenant=${4:-main}

hex() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }
field() { printf '%s%02x%s' "$1" "${#2}" "$(hex "$2")"; } # texts below 128 bytes
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

varint= left=$((($(date +%s) + 50) * 1000000))
while [ $left -ge 128 ]; do
	varint+=$(printf %02x $((left % 128 + 128)))
	left=$((left / 128))
done
message=08$kind$(field 12 "$id")$(field 1a "$tenant")20$varint$(printf %02x $left)
bytes() { printf '%b' "$(sed 's/../\\x&/g' <<<"$message")"; }
key=$(grep -v '^#' "$1/cluster.key" | head -1 | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
echo "$(bytes | base64url).$(bytes | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64url)"
