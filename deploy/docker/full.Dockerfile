# The transcoder, the recommender and the all-in-one: FFmpeg and OpenBLAS
# beside the binary. The context holds `backlot`, built with the tag openblas.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update -qq \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		ca-certificates ffmpeg libgfortran5 libopenblas0-pthread >/dev/null \
	&& rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
	&& useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin backlot \
	&& install -d -m 0700 -o 10001 -g 10001 /data /media
COPY backlot /backlot
USER 10001:10001
WORKDIR /data
ENV BACKLOT_DATA_DIR=/data BACKLOT_OPS_LISTEN=:9090 BACKLOT_GATEWAY_LISTEN=:8080
VOLUME /data
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=6s --start-period=30s --retries=3 CMD ["/backlot", "healthcheck"]
ENTRYPOINT ["/backlot"]
CMD ["up"]
