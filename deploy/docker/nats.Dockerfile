# NATS with JetStream. The context holds `nats-server`, built with
# CGO_ENABLED=0 from the version that kit/go.mod names. Mount the services'
# certificate at /tls: whoever shows one of the same authority is let in.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN install -d -m 0700 -o 10001 -g 10001 /data
COPY nats-server nats.conf /
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 4222
HEALTHCHECK --interval=3s --timeout=5s --start-period=30s --retries=3 CMD ["/bin/bash", "-c", \
	"exec 3<>/dev/tcp/127.0.0.1/8222 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3"]
ENTRYPOINT ["/nats-server", "--config", "/nats.conf"]
