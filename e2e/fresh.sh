#!/bin/sh
# make test-fresh: make demo and make test in a clean Debian root that holds
# only Go, make and git, so that a missing install step is found. The root is
# a folder made by debootstrap, entered in a mount namespace of its own: the
# kernel, the cgroups and the network are this host's.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "test-fresh: run as root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "test-fresh: debootstrap is missing: run make setup" >&2; exit 1; }

if [ "${MYCOMPOSE_FRESH:-}" != 1 ]; then
    MYCOMPOSE_FRESH=1 exec unshare --mount --propagation slave sh "$PWD/e2e/fresh.sh"
fi

goroot=$(${GO:-go} env GOROOT)
goproxy=$(${GO:-go} env GOPROXY)
cache=$(${GO:-go} env GOMODCACHE)
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk '$2 == "bookworm" {print $1; exit}')
root=$(mktemp -d /var/tmp/mycompose-fresh-XXXXXX)

cleanup() {
    for mount in sys/fs/cgroup sys proc dev go/mod tmp; do
        umount -R "$root/$mount" 2>/dev/null || true
    done
    rm -rf "$root"
}
trap cleanup EXIT

debootstrap --variant=minbase --include=make,git,ca-certificates bookworm "$root" "$mirror" >"$root.log" 2>&1 || {
    tail -20 "$root.log"
    exit 1
}
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
mkdir -p "$root/usr/local" "$root/go/mod" "$root/work"
cp -r "$goroot" "$root/usr/local/go"
git clone -q . "$root/work/mycompose"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind "$cache" "$root/go/mod"
mount -t tmpfs tmpfs "$root/tmp"

inside() {
    chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb GOPROXY="$goproxy" GOMODCACHE=/go/mod GOFLAGS=-modcacherw \
        PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        sh -c "cd /work/mycompose && $1"
}
inside 'make demo'
inside 'bin/mycompose -f examples/flask-redis/compose.yaml down -v && bin/mycompose system stop --all'
inside 'make test'
