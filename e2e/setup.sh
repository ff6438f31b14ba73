#!/bin/sh
# Installs the Debian packages that the demo and the tests use, if any is
# missing. Says what it does; needs root only when something is missing.
set -eu
cd "$(dirname "$0")/.."

packages='ca-certificates curl debootstrap docker-registry busybox-static runc gcc libc6-dev git iproute2 iptables nftables procps mount e2fsprogs tmux xz-utils bzip2'

missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "setup: these packages are missing, run as root:$missing" >&2
    exit 1
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# docker-registry would start at once where services run; the tests start
# their own. policy-rc.d is the way to say so, Debian policy 9.3.3.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
sh e2e/again.sh apt-get update -qq
# shellcheck disable=SC2086  # a list of words
sh e2e/again.sh apt-get install -y -qq --no-install-recommends $missing >/dev/null
