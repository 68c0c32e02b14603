# The pure-Go services: one static binary and nothing else. The verb chooses
# the service. The context holds `backlot`, built with CGO_ENABLED=0.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS base
RUN install -d -m 0700 -o 10001 -g 10001 /data /media && install -d -m 1777 /empty

FROM scratch
COPY --from=base /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=base /empty /tmp
COPY --from=base --chown=10001:10001 /data /data
COPY --from=base --chown=10001:10001 /media /media
COPY backlot /backlot
USER 10001:10001
WORKDIR /data
ENV BACKLOT_DATA_DIR=/data BACKLOT_OPS_LISTEN=:9090 BACKLOT_GATEWAY_LISTEN=:8080
VOLUME /data
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=6s --start-period=30s --retries=3 CMD ["/backlot", "healthcheck"]
ENTRYPOINT ["/backlot"]
CMD ["help"]
