#!/bin/sh
# Makes a router of this container, for docker-compose.yml beside this file, and holds the sockets of the gateway on it.
set -eu
inner=$(ip -oneline -4 address show to 172.30.44.0/24 | cut -d ' ' -f 2)

# The default route of what is in that network.
ip address add 172.30.44.1/24 dev "$inner"

gracegate nft --interface "$inner" --block-quic --force-dns --listen-transparent :3129 | nft -f -

# What any router at home does, for all that does not go to the gateway.
nft -f - <<EOF
table ip router {
	chain postrouting {
		type nat hook postrouting priority srcnat
		ip saddr 172.30.44.0/24 masquerade
	}
}
EOF

exec setpriv --reuid=65532 --regid=65532 --clear-groups --bounding-set=-all --inh-caps=-all \
	python3 /sockets.py hold proxy=3128 transparent=3129
