#!/bin/sh
# Makes the cluster at the first start, then becomes the server. Arguments go
# to the server.
#
#   POSTGRES_PASSWORD_FILE    file with the password of the user backlot (required)
#   POSTGRES_TLS_CERT, _KEY   PEM files; with them only TLS connections are taken
set -eu
cluster=/data/cluster
if [ ! -f "$cluster/PG_VERSION" ]; then
	rm -rf "$cluster.new"
	/opt/postgresql/initdb -D "$cluster.new" -U backlot -E UTF8 --locale=C.UTF-8 \
		--auth-host=scram-sha-256 --auth-local=trust --pwfile="$POSTGRES_PASSWORD_FILE" >/dev/null
	kind=host
	[ -z "${POSTGRES_TLS_CERT-}" ] || kind=hostssl
	echo "$kind all backlot all scram-sha-256" >>"$cluster.new/pg_hba.conf"
	mv "$cluster.new" "$cluster"
fi
if [ -n "${POSTGRES_TLS_CERT-}" ]; then
	set -- -c ssl=on -c ssl_cert_file="$POSTGRES_TLS_CERT" -c ssl_key_file="$POSTGRES_TLS_KEY" "$@"
fi
exec /opt/postgresql/postgres -D "$cluster" -k /tmp -c listen_addresses='*' -c max_connections=300 "$@"
