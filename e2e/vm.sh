#!/bin/sh
# make test-vm: boots Debian's kernel in qemu (no kvm needed) with cgroup v2
# only and systemd as pid 1, and runs the root tests in it. By hand and before
# a release. The disk is kept in .cache/vm; remove it to start over.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "test-vm: run as root" >&2; exit 1; }
go=${GO:-go}
cache=$PWD/.cache/vm

need() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
    done
    [ -z "$missing" ] && return
    echo "test-vm: installing$missing"
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# base makes the root file system once: Debian with its own kernel.
base() {
    [ -e "$cache/root.done" ] && return
    rm -rf "$cache"
    mkdir -p "$cache"
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk '$2 == "bookworm" {print $1; exit}')
    echo "test-vm: making the root file system"
    debootstrap --variant=minbase \
        --include=systemd-sysv,udev,kmod,linux-image-amd64,busybox-static,procps,iproute2,nftables,ca-certificates,docker-registry \
        bookworm "$cache/root" "$mirror" >"$cache/debootstrap.log" 2>&1 || { tail -20 "$cache/debootstrap.log"; exit 1; }
    cat >"$cache/root/etc/systemd/system/tests.service" <<'UNIT'
[Unit]
Description=root tests of mycompose
After=multi-user.target
[Service]
Type=oneshot
Delegate=yes
Environment=HOME=/root MYCOMPOSE_ROOT_TESTS=1 TERM=dumb
ExecStart=/bin/sh /tests/run.sh
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
UNIT
    chroot "$cache/root" systemctl enable tests.service >/dev/null 2>&1
    chroot "$cache/root" systemctl disable docker-registry >/dev/null 2>&1 || true
    rm -rf "$cache"/root/var/cache/apt/archives/*.deb
    touch "$cache/root.done"
}

# tests compiles the test programs and lays them down with their testdata.
tests() {
    rm -rf "$cache/root/tests"
    mkdir -p "$cache/root/tests/bin"
    cp bin/mycompose "$cache/root/tests/bin/"
    for package in $($go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./engine/... ./network/... ./volume/... ./cmd/... ./e2e); do
        grep -qs NeedRoot "$package"/*_test.go || continue
        name=${package#"$PWD"/}
        mkdir -p "$cache/root/tests/$name"
        CGO_ENABLED=0 $go test -c -o "$cache/root/tests/$name/x.test" "./$name"
        if [ -d "$package/testdata" ]; then cp -r "$package/testdata" "$cache/root/tests/$name/"; fi
    done
    cp -r examples "$cache/root/tests/"
    cat >"$cache/root/tests/run.sh" <<'RUN'
failed=0
echo "VM kernel $(uname -r), $(stat -fc %T /sys/fs/cgroup), pid 1 $(cat /proc/1/comm)"
for test in $(find /tests -name x.test | sort); do
    cd "$(dirname "$test")"
    if timeout 900 ./x.test -test.timeout 15m -test.skip 'TestImportsGoToALowerRowOnly|TestTheSmallProgramStaysSmall|TestEveryPackageSaysWhatItIs'; then
        echo "VM ok $test"
    else
        echo "VM FAIL $test"
        failed=1
    fi
done
echo "VM result $failed"
RUN
}

# boot runs the machine until it powers itself off and prints its console.
boot() {
    rm -f "$cache/disk.img"
    truncate -s 8G "$cache/disk.img"
    mkfs.ext4 -q -F -d "$cache/root" "$cache/disk.img"
    timeout 3600 qemu-system-x86_64 -machine accel=tcg -cpu max -smp 2 -m 3072 -nographic -no-reboot \
        -kernel "$(ls "$cache"/root/boot/vmlinuz-* | tail -1)" -initrd "$(ls "$cache"/root/boot/initrd.img-* | tail -1)" \
        -append 'root=/dev/vda rw console=ttyS0 quiet systemd.unified_cgroup_hierarchy=1 systemd.show_status=no net.ifnames=0' \
        -drive "file=$cache/disk.img,format=raw,if=virtio,cache=unsafe" -nic none </dev/null | tee "$cache/console.log"
    rm -f "$cache/disk.img"
    grep -q 'VM result 0' "$cache/console.log"
}

need qemu-system-x86 debootstrap e2fsprogs
base
tests
boot
