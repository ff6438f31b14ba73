#!/bin/sh
# make test-fresh: make demo and make test in a clean Debian root that holds
# only Go, make and git, so that a missing install step is found. The kernel,
# the cgroups and the network are this host's. What is mounted for it stands in
# a mount namespace of its own and goes with it; the root is removed from
# outside, where nothing of that is mounted.
set -eu
cd "$(dirname "$0")/.."

# inside prepares the root's mounts and runs the two commands there.
inside() {
    root=$1
    mount --bind "$root" "$root" # pivot_root(2) wants a mount point as root
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
        set -- $node
        mknod -m 666 "$root/dev/$1" c "$2" "$3"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s pts/ptmx "$root/dev/ptmx"
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
    mount -t tmpfs tmpfs "$root/dev/shm"
    mount -t tmpfs tmpfs "$root/run"
    chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb GOPROXY="$goproxy" \
        PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        sh -ec 'cd /work/mycompose
            make demo
            bin/mycompose -f examples/flask-redis/compose.yaml down -v
            bin/mycompose system stop --all
            make test'
}

goproxy=$(${GO:-go} env GOPROXY)
if [ "${1:-}" = inside ]; then
    inside "$2"
    exit
fi

[ "$(id -u)" = 0 ] || { echo "test-fresh: run as root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "test-fresh: debootstrap is missing: run make setup" >&2; exit 1; }
root=$(mktemp -d /var/tmp/mycompose-fresh-XXXXXX)
trap 'rm -rf --one-file-system "$root"' EXIT
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk '$2 == "bookworm" {print $1; exit}')
debootstrap --variant=minbase --include=make,git,ca-certificates bookworm "$root" "$mirror" >"$root/debootstrap.out" 2>&1 || {
    tail -20 "$root/debootstrap.out"
    exit 1
}
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cp -r "$(${GO:-go} env GOROOT)" "$root/usr/local/go"
mkdir -p "$root/work"
git clone -q . "$root/work/mycompose"
# --kill-child ends whatever a failed run leaves, and with it the mounts.
unshare --mount --pid --fork --kill-child --propagation private sh "$PWD/e2e/fresh.sh" inside "$root"
