# PostgreSQL of the distribution, for installations without one of their own
# and for tests.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN mkdir -p /etc/postgresql-common/createcluster.d \
	&& echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/backlot.conf \
	&& apt-get update -qq \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null \
	&& rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
	&& ln -s /usr/lib/postgresql/*/bin /opt/postgresql \
	&& useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin backlot \
	&& install -d -m 0700 -o 10001 -g 10001 /data
COPY postgres.sh /postgres.sh
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 5432
# Smart shutdown waits for clients; this one ends their sessions.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=3s --timeout=5s --start-period=60s --retries=3 \
	CMD ["/opt/postgresql/pg_isready", "-q", "-h", "127.0.0.1", "-U", "backlot"]
ENTRYPOINT ["/bin/sh", "/postgres.sh"]
