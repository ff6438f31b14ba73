#!/bin/sh
# make peers: what make bench measures mycompose against. Debian's dockerd,
# podman, runc and crun by apt-get, with none of their services started; docker
# compose at a fixed version, built in its own module, as bin/peers/docker-compose.
set -eu
cd "$(dirname "$0")/../.."
go=${GO:-go}
compose=github.com/docker/compose/v5
version=v5.5.1

packages='docker.io podman runc crun iptables'
missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "peers: these packages are missing, run as root:$missing" >&2
        exit 1
    fi
    echo "peers: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    policy=/usr/sbin/policy-rc.d # no service starts: Debian policy 9.3.3
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    sh e2e/again.sh apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    sh e2e/again.sh apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

built=$PWD/bin/peers/docker-compose
if [ "$("$built" version --short 2>/dev/null || true)" != "${version#v}" ]; then
    # go install refuses a module with exclude directives, so it is built where
    # the module cache has it, with its own go.mod and go.sum.
    echo "peers: building docker compose $version"
    mkdir -p bin/peers
    folder=$(cd / && GOFLAGS=-mod=mod sh "$OLDPWD/e2e/again.sh" "$go" mod download -json "$compose@$version" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
    CGO_ENABLED=0 GOFLAGS=-buildvcs=false "$go" build -C "$folder" -mod=readonly -trimpath \
        -ldflags "-s -w -X $compose/internal.Version=$version" -o "$built.linked" ./cmd
    cp "$built.linked" "$built" # as one that was installed, see the Makefile's build
    rm "$built.linked"
fi
"$built" version
dockerd --version
podman --version
runc --version | head -n 1
crun --version | head -n 1
