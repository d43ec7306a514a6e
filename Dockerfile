# The image holds the static binary and nothing to run beside it.
#
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t repomgr .
#   docker run -p 8081:8081 -p 8082:8082 -p 8083:8083 -v repomgr:/data repomgr

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN make build VERSION="$VERSION"
# scratch has no mkdir: the directories that the server writes to are copied, with their owner.
RUN mkdir -p /state/data /state/tmp && chmod 1777 /state/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
COPY --from=build --chown=65532:65532 /state/ /
COPY --from=build /src/bin/repomgr /repomgr
ENV REPOMGR_DATA=/data ZONEINFO=/zoneinfo.zip
# a number, so that Kubernetes can tell that it is not root
USER 65532:65532
VOLUME /data
# the REST API and the UI; the docker connectors of --preset docker
EXPOSE 8081 8082 8083
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["/repomgr", "healthcheck"]
ENTRYPOINT ["/repomgr"]
CMD ["serve"]
