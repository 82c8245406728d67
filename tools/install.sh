#!/bin/bash
# Installs what berth, its tests and its demo need and this machine lacks, from Debian's own packages. Needs root.
# Starts no service, and does not touch apt when nothing is missing.
#
# The docker CLI is taken out of Debian's package and put into .tools/bin, so that no second engine comes with it; the
# registry that the tests push to likewise.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/.tools/bin
PATH=$tools:$PATH
node_needed=20.19.0

# A command that has to be there, and the package that brings it.
commands=(
  crun:crun runc:runc iptables:iptables ip:iproute2 busybox:busybox-static skopeo:skopeo ps:procps
  nsenter:util-linux setsid:util-linux script:bsdutils curl:curl tini-static:tini
  docker-compose:docker-compose
)
# The default seccomp profile, and a library that a client is written with.
files=(
  /usr/share/containers/seccomp.json:golang-github-containers-common
  /usr/lib/python3/dist-packages/docker/__init__.py:python3-docker
)

main() {
  local missing=()
  for entry in "${commands[@]}"; do have "${entry%%:*}" || missing+=("${entry#*:}"); done
  for entry in "${files[@]}"; do [ -e "${entry%%:*}" ] || missing+=("${entry#*:}"); done
  # A busybox that needs the machine's libraries would not run in a container.
  ! have busybox || is_static "$(command -v busybox)" || missing+=(busybox-static)
  have node || missing+=(nodejs)
  have npm || missing+=(npm)

  if [ ${#missing[@]} -gt 0 ]; then
    update
    if ! have node && ! enough "$(candidate nodejs)"; then too_old "Debian's Node.js here is $(candidate nodejs)"; fi
    echo "installing ${missing[*]}" >&2
    apt install -y --no-install-recommends "${missing[@]}"
  fi
  enough "$(node -p process.versions.node)" || too_old "$(command -v node) is $(node -p process.versions.node)"
  have docker || docker_cli
  have docker-registry || registry
}

docker_cli() {
  update
  local package=docker.io scratch
  # Where Debian packages the CLI alone, that is it; elsewhere it is in the engine's package.
  [ -z "$(candidate docker-cli)" ] || package=docker-cli
  echo "taking the docker CLI out of $package" >&2
  scratch=$(mktemp -d)
  chmod 755 "$scratch"
  (cd "$scratch" && apt download "$package" && dpkg -x ./*.deb .)
  mkdir -p "$tools"
  cp "$scratch/usr/bin/docker" "$tools/docker"
  rm -rf "$scratch"
}

# A registry for the tests: the program alone, for the package would start it as a service.
registry() {
  update
  local scratch
  echo "taking docker-registry out of its package" >&2
  scratch=$(mktemp -d)
  chmod 755 "$scratch"
  (cd "$scratch" && apt download docker-registry && dpkg -x ./*.deb .)
  mkdir -p "$tools"
  cp "$scratch/usr/bin/docker-registry" "$tools/docker-registry"
  rm -rf "$scratch"
}

have() { command -v "$1" >/dev/null; }
is_static() { ! ldd "$1" 2>/dev/null | grep -q '=>'; }
enough() { [ -n "$1" ] && dpkg --compare-versions "$1" ge "$node_needed"; }
candidate() { apt-cache policy "$1" | sed -n 's/^ *Candidate: *//p' | grep -vx '(none)' || true; }

too_old() {
  echo "berth needs Node.js $node_needed or newer, and $1. Install a newer one (Debian has it from trixie on), then run this again." >&2
  exit 1
}

updated=
update() {
  [ -z "$updated" ] || return 0
  [ "$(id -u)" = 0 ] || { echo 'packages are missing: run this as root' >&2; exit 1; }
  have apt-get || { echo "this is not Debian: install ${commands[*]%%:*} docker node npm yourself" >&2; exit 1; }
  for wait in 2 5 10 0; do
    if apt update; then updated=yes; return; fi
    sleep "$wait"
  done
  echo 'apt-get update fails' >&2
  exit 1
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o APT::Sandbox::User=root "$@" >/dev/null; }

main
