#!/usr/bin/env bash
# Measures gracegate beside what is run today, on Debian 12, as root: about 25 minutes, then docs/performance.md is written anew.
# With flags, only what they choose, and nothing is written; -h tells them:
#     bench/run.sh -rows get1k,refuse -peers squid,haproxy -rounds 3 -against OTHER-GRACEGATE
# Peers that are missing take no part:  apt-get install squid-openssl haproxy tinyproxy mitmproxy
set -euo pipefail
here=$(dirname "$(realpath "$0")")
version=$(git -C "$here" describe --always --dirty || echo unknown)
CGO_ENABLED=0 go -C "$here/.." build -trimpath -ldflags "-X main.stamped=$version" -o "$here/gracegate" ./cmd/gracegate
go -C "$here" build -o "$here/bench" .
if (($# == 0)); then
	set -- -out "$here/../docs/performance.md"
fi
exec "$here/bench" -gracegate "$here/gracegate" "$@"
