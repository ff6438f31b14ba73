#!/bin/sh
# The end of make test-vm: the boot unit under systemd and two real boots of the
# machine, the second without any warning. `sh e2e/vm-reboot.sh CACHE` needs
# the root file system that vm.sh made in CACHE/root, and bin/mycompose. Each
# boot runs one stage of e2e's TestTheMachineBoots (vm_test.go).
set -eu
cd "$(dirname "$0")/.."
cache=$1
go=${GO:-go}
stages="unit reboot powerloss"

lay() {
    rm -rf "$cache/root/tests"
    mkdir -p "$cache/root/tests/bin" "$cache/root/tests/e2e"
    cp bin/mycompose "$cache/root/tests/bin/"
    CGO_ENABLED=0 "$go" test -c -ldflags '-s -w' -o "$cache/root/tests/e2e/x.test" ./e2e
    rm -f "$cache/root/etc/systemd/system/multi-user.target.wants/tests.service"
    cat >"$cache/root/etc/systemd/system/stages.service" <<UNIT
[Unit]
Description=a stage of mycompose's boot test
After=multi-user.target
[Service]
Type=oneshot
Environment=HOME=/root TERM=dumb MYCOMPOSE_ROOT_TESTS=1
ExecStart=/bin/sh /tests/stages.sh
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
[Install]
WantedBy=multi-user.target
UNIT
    cat >"$cache/root/tests/stages.sh" <<RUN
set -- $stages
RUN
    cat >>"$cache/root/tests/stages.sh" <<'RUN'
done=$(cat /tests/done 2>/dev/null || echo 0)
shift "$done"
echo "VM stage $1 begins"
echo $((done + 1)) >/tests/done
sync /tests/done
cd /tests/e2e
if MYCOMPOSE_VM_STAGE=$1 timeout 900 ./x.test -test.v -test.timeout 14m -test.run 'TestTheMachineBoots$'; then
    echo "VM stage $1 ok"
else
    echo "VM stage $1 FAIL"
    tail -50 /var/lib/mycompose/daemon.log
    tail -n 40 /var/lib/mycompose/projects/*/operations/*.events
    ../bin/mycompose ls -a
    ../bin/mycompose -p reboot ps -a
    journalctl -b -u mycompose.service --no-pager | tail -30
    systemctl poweroff --no-block
    exit 1
fi
case $1 in
unit) systemctl reboot --no-block ;;
reboot) sleep 2 && echo b >/proc/sysrq-trigger ;; # the console is out; the power fails: nothing is synced
*) systemctl poweroff --no-block ;;
esac
RUN
    chroot "$cache/root" systemctl enable stages.service >/dev/null 2>&1
}

# machine runs until it powers itself off or reboots.
machine() {
    timeout 1800 qemu-system-x86_64 -machine accel="${TEST_VM_ACCEL:-tcg}" -cpu max -smp 2 -m 2048 -nographic -no-reboot \
        -kernel "$(ls "$cache"/root/boot/vmlinuz-* | tail -1)" -initrd "$(ls "$cache"/root/boot/initrd.img-* | tail -1)" \
        -append 'root=/dev/vda rw console=ttyS0 quiet systemd.unified_cgroup_hierarchy=1 systemd.show_status=no systemd.mask=serial-getty@ttyS0.service loglevel=1 net.ifnames=0' \
        -drive "file=$cache/reboot.img,format=raw,if=virtio,cache=unsafe" -nic none </dev/null | tee "$cache/reboot.log"
}

lay
rm -f "$cache/reboot.img"
truncate -s 4G "$cache/reboot.img"
mkfs.ext4 -q -F -d "$cache/root" "$cache/reboot.img"
rm -f "$cache/root/etc/systemd/system/stages.service" "$cache/root/etc/systemd/system/multi-user.target.wants/stages.service"
failed=0
for stage in $stages; do
    machine
    grep -q "VM stage $stage ok" "$cache/reboot.log" || { failed=1; break; }
done
rm -f "$cache/reboot.img"
echo "VM reboot result $failed"
exit $failed
