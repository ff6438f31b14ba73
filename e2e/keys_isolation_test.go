package e2e

import (
	"strings"
	"testing"
)

const isolationKeys = `
services:
  plain:
    <<: *base
  privileged:
    <<: *base
    privileged: true
  caps:
    <<: *base
    cap_add: [NET_ADMIN, CAP_SYS_TIME]
    cap_drop: [ALL]
  alldrop:
    <<: *base
    cap_drop: [ALL]
  lesscaps:
    <<: *base
    cap_add: [ALL]
    cap_drop: [NET_RAW, chown]
  secured:
    <<: *base
    security_opt: [no-new-privileges:true, seccomp=unconfined, apparmor=unconfined, label=disable]
  sealed:
    <<: *base
    read_only: true
    shm_size: 8m
    tmpfs: ["/scratch:size=1m,mode=700,uid=7,gid=8,exec", /plain]
    sysctls: {net.ipv4.ip_unprivileged_port_start: "99", kernel.shmmni: "77"}
  limited:
    <<: *base
    mem_limit: 64m
    memswap_limit: 96m
    mem_reservation: 32m
    cpus: 0.25
    cpu_shares: 512
    cpuset: "0"
    pids_limit: 33
  deployed:
    <<: *base
    deploy:
      replicas: 2
      resources:
        limits: {cpus: "0.5", memory: 48M, pids: 44}
        reservations: {memory: 24M}
  eater:
    <<: *base
    mem_limit: 16m
    memswap_limit: 16m
    init: false
    command: ["sh", "-c", "exec tail /dev/zero"]
  forker:
    <<: *base
    pids_limit: 20
    command: ["sh", "-c", "for i in $$(seq 30); do sleep 1000 & done; sleep 1000"]
`

// from reads a cgroup file of v1 or of v2, whichever the container sees.
func from(v1, v2 string) string {
	return "cat /sys/fs/cgroup/" + v1 + " 2>/dev/null || cat /sys/fs/cgroup/" + v2
}

// What a service may do and how much of the machine it may use, seen from
// inside.
func TestKeysOfIsolationAndResourcesHaveTheirEffect(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.keys("iso", isolationKeys, nil)
	const caps = "grep -E '^Cap(Eff|Bnd)' /proc/$p/status"
	h.looks(dir, []look{
		{"default capabilities", "plain", caps, "CapEff: 00000000a80425fb CapBnd: 00000000a80425fb"},
		{"default seccomp", "plain", "grep -E '^(Seccomp|NoNewPrivs):' /proc/$p/status", "NoNewPrivs: 0 Seccomp: 2"},
		{"default mounts", "plain", "touch /x && echo root; touch /sys/x 2>/dev/null || echo sys; test -e /dev/kmsg || echo dev; head -c1 /proc/kcore | wc -c",
			"root sys dev 0"},
		{"shm_size (none given)", "plain", "df -k /dev/shm | tail -1 | awk '{print $2}'", "65536"},
		{"privileged", "privileged", "grep -E '^(Seccomp):' /proc/$p/status; test -e /dev/kmsg && echo dev; mount | grep -c ' /sys .*rw,'; mount -t tmpfs none /mnt 2>/dev/null || mkdir /m && mount -t tmpfs none /m && echo mounted",
			"Seccomp: 0 dev 1 mounted"},
		{"cap_drop ALL and cap_add", "caps", caps, "CapEff: 0000000002001000 CapBnd: 0000000002001000"},
		{"cap_drop ALL", "alldrop", caps, "CapEff: 0000000000000000 CapBnd: 0000000000000000"},
		{"cap_drop of some", "lesscaps", "awk '/^CapEff/ {print substr($2, 13)}' /proc/$p/status", "dffe"},
		{"security_opt", "secured", "grep -E '^(Seccomp|NoNewPrivs):' /proc/$p/status", "NoNewPrivs: 1 Seccomp: 0"},
		{"read_only", "sealed", "touch /x 2>/dev/null || echo sealed; touch /scratch/x /plain/x /dev/shm/x && echo open", "sealed open"},
		{"shm_size", "sealed", "df -k /dev/shm | tail -1 | awk '{print $2}'", "8192"},
		{"tmpfs with options", "sealed", "df -k /scratch | tail -1 | awk '{print $2}'; stat -c '%a %u %g' /scratch; grep -c ' /scratch tmpfs .*noexec' /proc/mounts; grep -c ' /plain tmpfs .*noexec' /proc/mounts; stat -c %a /plain",
			"1024 700 7 8 0 1 1777"},
		{"sysctls", "sealed", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmni", "99 77"},
		{"mem_limit", "limited", from("memory/memory.limit_in_bytes", "memory.max"), "67108864"},
		{"mem_reservation", "limited", from("memory/memory.soft_limit_in_bytes", "memory.low"), "33554432"},
		{"memswap_limit", "limited", "cd /sys/fs/cgroup; if test -e memory/memory.limit_in_bytes; then cat memory/memory.memsw.limit_in_bytes 2>/dev/null || echo 100663296; " +
			"else echo $(($(cat memory.swap.max) + $(cat memory.max))); fi", "100663296"},
		{"cpus", "limited", "cd /sys/fs/cgroup; if test -e cpu; then cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us; else cat cpu.max; fi", "25000 100000"},
		{"cpu_shares", "limited", "cd /sys/fs/cgroup; if test -e cpu; then cat cpu/cpu.shares; else test $(cat cpu.weight) -lt 100 && echo 512; fi", "512"},
		{"cpuset", "limited", from("cpuset/cpuset.cpus", "cpuset.cpus") + "; grep Cpus_allowed_list /proc/$p/status", "0 Cpus_allowed_list: 0"},
		{"pids_limit", "limited", from("pids/pids.max", "pids.max"), "33"},
		{"deploy.resources.limits.memory", "deployed", from("memory/memory.limit_in_bytes", "memory.max"), "50331648"},
		{"deploy.resources.reservations.memory", "deployed", from("memory/memory.soft_limit_in_bytes", "memory.low"), "25165824"},
		{"deploy.resources.limits.cpus", "deployed", "cd /sys/fs/cgroup; if test -e cpu; then cat cpu/cpu.cfs_quota_us; else cut -d' ' -f1 cpu.max; fi", "50000"},
		{"deploy.resources.limits.pids", "deployed", from("pids/pids.max", "pids.max"), "44"},
	})
	if _, ok := h.ps(dir)["iso-deployed-2"]; !ok {
		t.Error("deploy.replicas: there is no iso-deployed-2")
	}
	h.eventually(func() error {
		return want(h.ps(dir)["iso-eater-1"].Status, "(out of memory)")
	})
	h.eventually(func() error {
		return want(h.must(dir, "logs", "--no-color", "forker"), "can't fork")
	})
}

// A dependency that the kernel killed for want of memory is named as that.
func TestAKillForWantOfMemoryIsNamed(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("oom", map[string]string{"compose.yaml": keyHead + `
services:
  eater:
    <<: *base
    mem_limit: 16m
    memswap_limit: 16m
    command: ["sh", "-c", "exec tail /dev/zero"]
  after:
    <<: *base
    depends_on: {eater: {condition: service_completed_successfully}}
`})
	up := h.run(dir, "up", "-d")
	if up.code != 1 || !strings.Contains(up.stderr, "out of memory") {
		t.Errorf("up: %d\n%s", up.code, up.stderr)
	}
}
