#!/bin/sh
# make test-vm: boots Debian's kernel in qemu with cgroup v2 only and systemd as
# pid 1, and runs the root tests in it, then vm-reboot.sh. By hand and before a release. The root
# file system is kept in .cache/vm and made anew when its list of packages
# changes. TEST_VM_PACKAGES and TEST_VM_RUN choose packages and tests by
# pattern; TEST_VM_ACCEL=kvm takes kvm in place of emulation (nested, it may
# stand still while it boots).
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "test-vm: run as root" >&2; exit 1; }
go=${GO:-go}
cache=$PWD/.cache/vm
packages=${TEST_VM_PACKAGES:-./engine/... ./network/... ./volume/... ./cmd/... ./e2e ./e2e/crash}
only=${TEST_VM_RUN:-.}
included=systemd-sysv,udev,kmod,linux-image-amd64,busybox-static,procps,iproute2,iptables,nftables,ca-certificates,docker-registry,xz-utils,bzip2,tmux

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
    [ "$(cat "$cache/root.done" 2>/dev/null)" = "$included" ] && return
    rm -rf --one-file-system "$cache" # a broken debootstrap may leave /proc there
    mkdir -p "$cache"
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk '$2 == "bookworm" {print $1; exit}')
    echo "test-vm: making the root file system"
    debootstrap --variant=minbase \
        --include="$included" bookworm "$cache/root" "$mirror" >"$cache/debootstrap.log" 2>&1 || { tail -20 "$cache/debootstrap.log"; exit 1; }
    rm -rf "$cache"/root/var/cache/apt/archives/*.deb
    echo "$included" >"$cache/root.done"
}

# tests compiles the test programs and lays them down with their testdata, and
# the programs of ours that tests start, since there is no Go inside.
tests() {
    echo "test-vm: building the test programs"
    chroot "$cache/root" systemctl disable docker-registry >/dev/null 2>&1 || true
    rm -rf "$cache/root/tests"
    mkdir -p "$cache/root/tests/bin" "$cache/root/tests/programs"
    mkdir -p "$cache/root/tests/bin/faults"
    cp bin/mycompose "$cache/root/tests/bin/"
    cp bin/faults/mycompose "$cache/root/tests/bin/faults/"
    cp -r examples "$cache/root/tests/"
    for source in cmd/small cmd/builder cmd/mycompose@newer engine/spawn/testdata/small engine/spawn/testdata/probe e2e/testdata/udpecho e2e/testdata/reach \
        engine/keeper/testdata/daemon@one engine/keeper/testdata/daemon@two engine/keeper/testdata/daemon@bad; do
        version=${source#*@}
        [ "$version" != "$source" ] || version=
        CGO_ENABLED=0 "$go" build -trimpath -ldflags "-s -w -X main.version=$version" \
            -o "$cache/root/tests/programs/$(echo "$source" | tr / -)" "./${source%@*}"
    done
    for package in $("$go" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' $packages); do
        grep -qs NeedRoot "$package"/*_test.go || continue
        name=${package#"$PWD"/}
        mkdir -p "$cache/root/tests/$name"
        CGO_ENABLED=0 "$go" test -c -ldflags '-s -w' -o "$cache/root/tests/$name/x.test" "./$name"
        for extra in testdata layers.txt; do
            if [ -e "$package/$extra" ]; then cp -r "$package/$extra" "$cache/root/tests/$name/"; fi
        done
    done
    cat >"$cache/root/etc/systemd/system/tests.service" <<UNIT
[Unit]
Description=root tests of mycompose
After=multi-user.target
[Service]
Type=oneshot
Environment=HOME=/root TERM=dumb MYCOMPOSE_ROOT_TESTS=1 MYCOMPOSE_TEST_PROGRAMS=/tests/programs MYCOMPOSE_ROOT_REPORT=/tests/report
Environment=RUN=$only
ExecStart=/bin/sh /tests/run.sh
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
UNIT
    chroot "$cache/root" systemctl enable tests.service >/dev/null 2>&1
    # Left out, since they do not depend on the kernel: what asks the go tool or
    # reads the code, what needs a Debian root file system and its mirror, and the killing of
    # the daemon after each step, which takes too long on an emulated machine.
    cat >"$cache/root/tests/run.sh" <<'RUN'
skip='TestImportsGoToALowerRowOnly|TestTheSmallProgramStaysSmall|TestEveryPackageSaysWhatItIs|TestTheProductHoldsNoSeams|TestEachSeamHasItsOwnName|TestTheStageDoesAllOfIt|TestFlaskAndRedis|TestApplicationsAreEdited|TestKillingTheDaemonAfterEachStep'
failed=0
: >/tests/report
echo "VM kernel $(uname -r), $(stat -f -c %T /sys/fs/cgroup), pid 1 $(cat /proc/1/comm)"
for test in $(find /tests -name x.test ! -path '/tests/e2e/*' | sort) $(find /tests/e2e -name x.test | sort); do
    cd "$(dirname "$test")"
    began=$(cut -d. -f1 /proc/uptime)
    if timeout 2700 ./x.test -test.timeout 44m -test.run "$RUN" -test.skip "$skip"; then word=ok; else word=FAIL failed=1; fi
    echo "VM $word ${test%/x.test} $(($(cut -d. -f1 /proc/uptime) - began)) s"
done
grep '^skip' /tests/report | sort -u | awk -F'\t' '{print "skipped " $2 ": needs " $3}'
echo "VM root tests: $(grep -c '^run' /tests/report) run, $(grep -c '^skip' /tests/report) skipped"
echo "VM result $failed"
RUN
}

# boot runs the machine until it powers itself off and prints its console.
boot() {
    rm -f "$cache/disk.img"
    truncate -s 8G "$cache/disk.img"
    mkfs.ext4 -q -F -d "$cache/root" "$cache/disk.img"
    timeout 10800 qemu-system-x86_64 -machine accel=${TEST_VM_ACCEL:-tcg} -cpu max -smp 2 -m 3072 -nographic -no-reboot \
        -kernel "$(ls "$cache"/root/boot/vmlinuz-* | tail -1)" -initrd "$(ls "$cache"/root/boot/initrd.img-* | tail -1)" \
        -append 'root=/dev/vda rw console=ttyS0 quiet systemd.unified_cgroup_hierarchy=1 systemd.show_status=no systemd.mask=serial-getty@ttyS0.service loglevel=1 net.ifnames=0' \
        -drive "file=$cache/disk.img,format=raw,if=virtio,cache=unsafe" -nic none </dev/null | tee "$cache/console.log"
    rm -f "$cache/disk.img"
    grep -q 'VM result 0' "$cache/console.log"
}

[ "$(uname -m)" = x86_64 ] || { echo "test-vm: needs an x86-64 host" >&2; exit 1; }
need qemu-system-x86 debootstrap e2fsprogs
base
tests
boot
[ -n "${TEST_VM_RUN:-}" ] || sh e2e/vm-reboot.sh "$cache"
