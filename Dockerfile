# The gateway: one static binary and the roots of trust, nothing else.
# Below, the target `client` is that of both compositions, and `router` what docs/gateway/docker-compose.yml is made of.
ARG GO_IMAGE=golang:1.26-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# What `gracegate version` says; without it, (devel).
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.stamped=${VERSION}" -o /out/gracegate ./cmd/gracegate \
 && mkdir -p -m 0700 /out/lib/gracegate

FROM ${DEBIAN_IMAGE} AS client
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates curl \
 && rm -rf /var/lib/apt/lists/*
USER 65532:65532
CMD ["sleep", "infinity"]

# With what a router needs besides, and a program for scripts.
FROM ${DEBIAN_IMAGE} AS router
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates dnsmasq-base iproute2 nftables python3-minimal \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/gracegate /usr/bin/gracegate
COPY --from=build --chown=65532:65532 /out/lib/ /var/lib/
USER 65532:65532
ENTRYPOINT ["gracegate"]

FROM scratch AS gateway
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/gracegate /gracegate
# Empty, and the user's: a volume that is put there for the first time takes that over.
COPY --from=build --chown=65532:65532 /out/lib/ /var/lib/
# A number, so that an orchestrator can see that it is not root.
USER 65532:65532
# In a container the clients come from outside it; who may use the proxy is still clients.allow: private networks.
ENV GRACEGATE_LISTEN_PROXY=:3128
EXPOSE 3128
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/gracegate", "ready"]
ENTRYPOINT ["/gracegate"]
CMD ["serve"]
