#!/usr/bin/env bash
# Measures gracegate beside what is run today, on Debian 12, as root: about 14 minutes, then docs/performance.md is written anew.
# With flags, only what they choose, and nothing is written:  bench/run.sh -rows get1k,refuse -peers squid,haproxy -rounds 3
# Peers that are missing take no part:  apt-get install squid-openssl haproxy tinyproxy
set -euo pipefail
cd "$(dirname "$0")"
go build -o bench .
if (($# == 0)); then
	set -- -out ../docs/performance.md
fi
exec ./bench "$@"
