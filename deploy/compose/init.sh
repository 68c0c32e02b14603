#!/usr/bin/env bash
# init.sh [FOLDER] makes secrets (./secrets): the cluster key, PostgreSQL's
# password and address, and the certificates by which the containers know each
# other. A folder that is there stays as it is. The files belong to the user
# that the containers run as, 10001. `init.sh --remove [FOLDER]` deletes them.
set -euo pipefail
image=backlot/full:${BACKLOT_TAG:-dev}
remove=
if [ "${1-}" = --remove ]; then
	remove=yes
	shift
fi
folder=${1-$(dirname "$0")/secrets}
if [ -n "$remove" ]; then
	[ -d "$folder" ] || exit 0
	folder=$(cd "$folder" && pwd)
	docker run --rm --user 0 --network none -v "$folder:/secrets" --entrypoint /usr/bin/find "$image" /secrets -mindepth 1 -delete
	rmdir "$folder"
	exit 0
fi
if [ -e "$folder" ]; then
	echo "init.sh: $folder is there already and is left alone" >&2
	exit 0
fi
mkdir -p -m 0755 "$folder"
folder=$(cd "$folder" && pwd)
docker run --rm --user 0 --network none -v "$folder:/secrets" --entrypoint /bin/sh "$image" -euc '
	umask 077
	cd /secrets
	password=$(od -An -N 24 -tx1 /dev/urandom | tr -d " \n")
	head -c 32 /dev/urandom | base64 >cluster.key
	printf %s "$password" >postgres.password
	cat >backlot.yml <<YML
database_url: postgres://backlot:$password@postgres:5432/postgres?sslmode=verify-full&sslrootcert=/tls/ca.pem
YML
	/backlot certs --dir tls --hosts localhost,127.0.0.1,configstore,rules,settlement,coordinator,storefront,transcoder,recommender,gateway,mq,nats,postgres
	chown -R 10001:10001 .
'
echo "init.sh: $folder is made"
