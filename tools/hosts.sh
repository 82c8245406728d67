#!/bin/bash
# Two hosts on one machine, so that an engine can be tried without touching the machine's own network:
#   hosts.sh up PREFIX      network namespaces PREFIX-host (198.51.100.2, the engine's) and PREFIX-client (198.51.100.1)
#   hosts.sh down PREFIX    removes both
# Neither has a way to the real network. Enter one with `nsenter --net=/run/netns/PREFIX-host COMMAND`, not with
# `ip netns exec`, which remounts /sys and hides the cgroups from an engine.
set -euo pipefail

up() {
  local host=$1-host client=$1-client
  ip netns add "$host"
  ip netns add "$client"
  ip -n "$client" link add eth0 type veth peer name eth0 netns "$host"
  ip -n "$host" addr add 198.51.100.2/24 dev eth0
  ip -n "$client" addr add 198.51.100.1/24 dev eth0
  for netns in "$host" "$client"; do
    ip -n "$netns" link set lo up
    ip -n "$netns" link set eth0 up
  done
  ip -n "$host" route add default via 198.51.100.1
}

down() {
  for netns in "$1-host" "$1-client"; do
    [ ! -e "/run/netns/$netns" ] || ip netns del "$netns"
  done
}

case ${1:-}/${2:-} in
  up/?*) up "$2" ;;
  down/?*) down "$2" ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
