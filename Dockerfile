# The controller: labctl, the node's binary and the programs that apply rulesets.
#
# Any Debian-like base does. With a public registry: `docker build --tag labctl/controller .` after
# `make build`. Without one: `make controller-image` makes a base from this machine's own files first.
# docker-compose.yml says how to run it; README.md says what it needs, and why.
ARG BASE=debian:12-slim
FROM ${BASE}

# A base that has the programs already (the one made locally) needs no package manager.
RUN command -v nft && command -v iptables-restore && command -v ip && command -v mount || \
    (apt-get update && apt-get install --yes --no-install-recommends iproute2 iptables mount nftables && \
     rm -rf /var/lib/apt/lists/*)

COPY bin/labctl bin/overlay-node /usr/local/bin/
COPY topologies /usr/share/labctl/topologies

WORKDIR /usr/share/labctl
# The container stays for as long as labs shall: the WAN of a lab is a process of it.
CMD ["sleep", "infinity"]
