#!/bin/sh
# make test-fresh: make demo and make test in a clean Debian root that holds
# only Go, make and git, so that a missing install step is found. The kernel,
# the cgroups, the network and with it /run/mycompose, where the lock of the
# host's networks lies, are this host's; all else is the new root's. The demo's
# state folder has a name of its own: its tag must differ from that of a
# mycompose of this host. What is mounted for it stands in a mount
# namespace of its own and goes with it; the root is removed from outside, where
# nothing of that is mounted.
set -eu
cd "$(dirname "$0")/.."

# devices fills the new root's /dev.
devices() {
    mount -t tmpfs -o mode=755 tmpfs "$1/dev"
    for node in 'null 1 3 666' 'zero 1 5 666' 'full 1 7 666' 'random 1 8 666' 'urandom 1 9 666' \
        'kmsg 1 11 644' 'tty 5 0 666'; do
        # shellcheck disable=SC2086  # name, major, minor, mode
        set -- "$1" $node
        mknod -m "$5" "$1/dev/$2" c "$3" "$4"
    done
    for link in 'fd /proc/self/fd' 'stdin /proc/self/fd/0' 'stdout /proc/self/fd/1' 'stderr /proc/self/fd/2' 'ptmx pts/ptmx'; do
        ln -s "${link#* }" "$1/dev/${link%% *}"
    done
    mkdir "$1/dev/pts" "$1/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
    mount -t tmpfs tmpfs "$1/dev/shm"
}

# inside makes the folder this namespace's root, with nothing above it, and
# runs the two commands there.
inside() {
    mount --bind "$1" "$1" # pivot_root(2) wants a mount point
    devices "$1"
    mount -t proc proc "$1/proc"
    mount --rbind /sys "$1/sys"
    mount -t tmpfs -o mode=755 tmpfs "$1/run"
    mkdir "$1/run/mycompose" "$1/mnt/host"
    mkdir -p -m 700 /run/mycompose
    mount --bind /run/mycompose "$1/run/mycompose"
    goproxy=$(${GO:-go} env GOPROXY)
    cd "$1"
    pivot_root . mnt/host
    umount -l /mnt/host
    rmdir /mnt/host
    cd /work/mycompose
    exec env -i HOME=/root TERM=dumb CI="${CI:-}" GOPROXY="$goproxy" MYCOMPOSE_STATE_DIR="/var/lib/$2" \
        PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        sh -ec 'make demo
            bin/mycompose -f examples/flask-redis/compose.yaml down -v
            bin/mycompose system stop --all
            make test'
}

if [ "${1:-}" = inside ]; then
    inside "$2" "$3"
    exit
fi

[ "$(id -u)" = 0 ] || { echo "test-fresh: run as root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "test-fresh: debootstrap is missing: run make setup" >&2; exit 1; }
began=$(date +%s)
folder=$(mktemp -d /var/tmp/mycompose-fresh-XXXXXX)
trap 'rm -rf --one-file-system "$folder"' EXIT
root=$folder/root
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk '$2 == "bookworm" {print $1; exit}')
debootstrap --variant=minbase --include=make,git,ca-certificates bookworm "$root" "$mirror" >"$folder/debootstrap.out" 2>&1 || {
    tail -20 "$folder/debootstrap.out"
    exit 1
}
chmod 755 "$root"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
apt-config dump Acquire::http::Proxy Acquire::https::Proxy >"$root/etc/apt/apt.conf.d/90host"
cp -r "$(${GO:-go} env GOROOT)" "$root/usr/local/go"
mkdir -p "$root/work"
git clone -q . "$root/work/mycompose"
# --kill-child ends whatever a failed run leaves, and with it the mounts.
unshare --mount --pid --fork --kill-child --propagation private sh "$PWD/e2e/fresh.sh" \
    inside "$root" "${folder##*/}" &
inner=$!
trap 'kill -9 $inner; exit 1' INT TERM # unshare heeds no other signal
if wait "$inner"; then
    echo "test-fresh: passed in $(($(date +%s) - began)) s"
else
    echo "test-fresh: failed after $(($(date +%s) - began)) s" >&2
    exit 1
fi
