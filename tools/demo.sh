#!/bin/bash
# Shows what berth does, as a person would type it, on hosts of its own; every step is checked. Needs root, and `make build`.
#
# berth's host (198.51.100.2) and another host (198.51.100.1) are two network namespaces with a cable between them and no
# way to the real network. To see the same on another engine, which should be empty:
#   DEMO_SOCKET=/path/docker.sock DEMO_NETNS=its-host DEMO_CLIENT=another-host [DEMO_OTHER_SOCKET=engine-on-that-one.sock] tools/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
PATH=$repository/.tools/bin:$PATH

host_address=198.51.100.2 other_address=198.51.100.1
work=$(mktemp -d "${TMPDIR:-/tmp}/berth-demo.XXXXXX")
netns=${DEMO_NETNS:-demo$$-host} other=${DEMO_CLIENT:-demo$$-other}
socket=${DEMO_SOCKET:-$work/berth.sock} other_socket=${DEMO_OTHER_SOCKET:-}
export DOCKER_HOST=unix://$socket DOCKER_CLI_HINTS=false
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
containers=(stupefied_lovelace peer Volume_Container App_Container DATA)
pids=() output='' steps=0

main() {
  trap clean_up EXIT
  trap 'exit 130' INT TERM HUP
  [ "$(id -u)" = 0 ] || fail 'the demo makes network namespaces: run it as root'
  if [ -z "${DEMO_SOCKET:-}" ]; then
    make_hosts
    start_daemon "$netns" "$work/berth" "$socket"
    daemon=$!
    other_socket=$work/other.sock
    start_daemon "$other" "$work/other" "$other_socket"
  fi
  start_servers
  node --import tsx --input-type=module -e 'import { busyboxRootfs } from "./fixtures/busybox-rootfs.ts"; process.stdout.write(await busyboxRootfs())' >"$work/busybox.tar"
  cd "$work"

  images
  publishing
  reaching
  volumes
  crash
  removal
  printf '\n%sAll %s steps did what they should.%s\n' "$bold" "$steps" "$plain"
}

images() {
  title 'Images: a root filesystem becomes two of them'
  host "docker import -c 'CMD [\"sh\"]' busybox.tar busybox"
  expect '^sha256:[0-9a-f]{64}$'
  host "docker import -c 'EXPOSE 8080' -c 'CMD [\"httpd\",\"-f\",\"-v\",\"-p\",\"8080\"]' busybox.tar myapp:v0.0.1"
  host 'docker images'
  expect '^myapp +v0.0.1' '^busybox +latest'
}

publishing() {
  title 'docker run -d -P: a port of the host for each port that the image exposes'
  host 'docker run -d -P --name stupefied_lovelace myapp:v0.0.1'
  expect '^[0-9a-f]{64}$'
  host 'docker ps'
  expect '0\.0\.0\.0:[0-9]+->8080/tcp.* stupefied_lovelace'
  host 'docker port stupefied_lovelace'
  expect '^8080/tcp -> 0\.0\.0\.0:[0-9]+$'
  port=$(sed -n 's/^8080\/tcp -> 0\.0\.0\.0:\([0-9]*\)$/\1/p' <<<"$output")
  host 'docker inspect stupefied_lovelace | grep IP'
  expect '"IPAddress": "172\.'
  address=$(sed -n 's/^ *"IPAddress": "\([0-9.]*\)",*$/\1/p' <<<"$output" | head -1)
  host 'iptables -nvL -t nat'
  expect 'MASQUERADE .* !docker0 ' "DNAT .*dpt:$port to:$address:8080"
  host "docker exec stupefied_lovelace sh -c 'echo hello from a container >/index.html'"
}

reaching() {
  title 'Everybody reaches it: another host, the host by its address, the host by 127.0.0.1'
  other_host "curl -sS -m 5 http://$host_address:$port/"
  expect '^hello from a container$'
  host "curl -sS -m 5 http://$host_address:$port/"
  expect '^hello from a container$'
  host "curl -sS -m 5 http://127.0.0.1:$port/"
  expect '^hello from a container$'

  title 'From a container: to another container, to the host, to another host'
  host 'docker run -d --name peer busybox sleep 1000'
  host "docker exec peer wget -q -O - http://$address:8080/"
  expect '^hello from a container$'
  host "docker exec peer wget -q -O - http://$host_address:8000/"
  expect '^hello from the host$'
  host "docker exec peer wget -q -O - http://$other_address:8000/"
  expect '^hello from another host$'
  host "docker exec peer ping -c 1 -W 2 $other_address"
  expect '1 packets received'
  say 'The other host has seen the address of the host: that is the MASQUERADE above.'
  other_host "tail -n 2 $work/other-httpd.log"
  expect "$host_address:.*response:200"

  [ -n "$other_socket" ] || return 0
  title 'From a container on another host, which has an engine of its own'
  DOCKER_HOST=unix://$other_socket
  other_host 'docker import busybox.tar busybox'
  other_host "docker run --rm busybox wget -q -O - http://$host_address:$port/"
  expect '^hello from a container$'
  DOCKER_HOST=unix://$socket
}

volumes() {
  title 'Volumes, and a second container with the volumes of the first'
  host 'docker run -d -v /var/volume1 -v /var/volume2 --name Volume_Container busybox sleep 1000'
  host "docker exec Volume_Container sh -c 'echo one >/var/volume1/a; echo two >/var/volume2/b'"
  host "docker run --rm --volumes-from Volume_Container --name App_Container busybox sh -c 'cat /var/volume1/a /var/volume2/b; echo three >/var/volume1/c'"
  expect '^one$' '^two$'
  host 'docker exec Volume_Container cat /var/volume1/c'
  expect '^three$'
  host "docker inspect -f '{{range .Mounts}}{{println .Destination .Source}}{{end}}' Volume_Container"
  expect '^/var/volume1 .*/_data' '^/var/volume2 .*/_data'

  title 'The backup of a volume'
  host "docker run -d -v /data --name DATA busybox sh -c 'echo precious >/data/file; sleep 1000'"
  for _ in {1..50}; do
    if docker exec DATA test -s /data/file; then break; fi
    sleep 0.1
  done
  # shellcheck disable=SC2016 # $(pwd) is for the shell in which the person types.
  host 'docker run --rm --volumes-from DATA -v $(pwd):/backup busybox tar cvf /backup/backup.tar /data'
  expect 'data/file'
  host 'tar xOf backup.tar data/file'
  expect '^precious$'
  host 'docker cp DATA:/data - | tar t'
  expect '^data/file$'
}

crash() {
  [ -n "${daemon:-}" ] || return 0
  title 'The daemon is killed; the containers do not notice'
  host "kill -9 $daemon"
  wait "$daemon" 2>/dev/null || true
  other_host "curl -sS -m 5 http://$host_address:$port/"
  expect '^hello from a container$'
  start_daemon "$netns" "$work/berth" "$socket"
  daemon=$!
  say 'It is back.'
  host 'docker ps'
  expect ' Up .*:'"$port"'->8080/tcp.* stupefied_lovelace' ' Up .* DATA'
  host 'docker exec DATA cat /data/file'
  expect '^precious$'
  other_host "curl -sS -m 5 http://$host_address:$port/"
  expect '^hello from a container$'
  host 'docker logs --tail 2 stupefied_lovelace'
  expect "response:200"
}

removal() {
  title 'What goes takes its rules along'
  host "docker rm -f -v stupefied_lovelace peer Volume_Container DATA"
  expect '^stupefied_lovelace$' '^DATA$'
  host 'iptables -S DOCKER -t nat'
  expect_not 'DNAT'
  host 'docker ps -a'
  expect_not 'stupefied_lovelace|Volume_Container'
}

# --- how a step is shown and checked ---

bold='' dim='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi

title() { printf '\n%s# %s%s\n' "$bold" "$1" "$plain"; }
say() { printf '%s# %s%s\n' "$dim" "$1" "$plain"; }
host() { enter_and_type "$netns" '$' "$1"; }
other_host() { enter_and_type "$other" 'another-host$' "$1"; }

enter_and_type() {
  local status=0
  printf '%s%s %s%s\n' "$bold" "$2" "$3" "$plain"
  output=$(nsenter --net="/run/netns/$1" timeout 60 bash -o pipefail -c "$3" 2>&1 </dev/null) || status=$?
  [ -z "$output" ] || printf '%s\n' "$output"
  [ "$status" = 0 ] || fail "it ended with $status"
  steps=$((steps + 1))
}

expect() {
  for pattern in "$@"; do
    grep -Eq -- "$pattern" <<<"$output" || fail "its output should have matched: $pattern"
  done
}

expect_not() { ! grep -Eq -- "$1" <<<"$output" || fail "its output should not have matched: $1"; }

fail() {
  printf '\nthe demo failed: %s\n' "$1" >&2
  for log in "$work"/*/daemon.log; do
    [ ! -e "$log" ] || { printf -- '--- the end of %s\n' "$log" >&2; tail -n 40 "$log" >&2; }
  done
  exit 1
}

# --- the hosts and what runs on them ---

make_hosts() {
  ip netns add "$netns"
  ip netns add "$other"
  ip -n "$other" link add eth0 type veth peer name eth0 netns "$netns"
  ip -n "$netns" addr add "$host_address/24" dev eth0
  ip -n "$other" addr add "$other_address/24" dev eth0
  for name in "$netns" "$other"; do
    ip -n "$name" link set lo up
    ip -n "$name" link set eth0 up
  done
  ip -n "$netns" route add default via "$other_address"
}

# Not `ip netns exec`, which remounts /sys and hides the cgroups. A session of its own: Ctrl-C is for this script to answer.
start_daemon() {
  mkdir -p "$2"
  setsid nsenter --net="/run/netns/$1" node "$repository/dist/main.js" -H "unix://$3" \
    --data-root "$2/data" --exec-root "$2/exec" --pidfile "$2/pid" >>"$2/daemon.log" 2>&1 </dev/null &
  pids+=("$!")
  for _ in {1..200}; do
    if curl -sf -m 5 --unix-socket "$3" http://engine/_ping >/dev/null; then return 0; fi
    kill -0 "$!" 2>/dev/null || fail 'the daemon ended at once'
    sleep 0.1
  done
  fail 'the daemon does not answer'
}

start_servers() {
  mkdir "$work/host" "$work/other-host"
  echo 'hello from the host' >"$work/host/index.html"
  echo 'hello from another host' >"$work/other-host/index.html"
  nsenter --net="/run/netns/$netns" busybox httpd -f -v -p "$host_address:8000" -h "$work/host" 2>/dev/null &
  pids+=("$!")
  nsenter --net="/run/netns/$other" busybox httpd -f -v -p "$other_address:8000" -h "$work/other-host" 2>"$work/other-httpd.log" &
  pids+=("$!")
}

clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  set +e
  [ ! -S "$socket" ] || timeout 30 docker rm -f -v "${containers[@]}" >/dev/null 2>&1
  if [ -n "${DEMO_SOCKET:-}" ]; then
    timeout 30 docker rmi busybox myapp:v0.0.1 >/dev/null 2>&1
    [ -z "$other_socket" ] || DOCKER_HOST=unix://$other_socket timeout 30 docker rmi busybox >/dev/null 2>&1
  fi
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
  if [ -z "${DEMO_SOCKET:-}" ]; then
    # What a daemon leaves running on purpose, should the removal above have failed: it holds the mounts.
    for name in "$netns" "$other"; do
      [ ! -e "/run/netns/$name" ] || ip netns pids "$name" | xargs -r kill -9
    done
    # Unmounted first: removing a tree with a mount in it would remove what is mounted.
    awk -v root="$work/" 'index($2, root) == 1 { print $2 }' /proc/self/mounts | tac | xargs -r -n 1 umount -l
    for name in "$netns" "$other"; do [ ! -e "/run/netns/$name" ] || ip netns del "$name"; done
  fi
  cd / && rm -rf --one-file-system "$work"
  exit "$status"
}

main
