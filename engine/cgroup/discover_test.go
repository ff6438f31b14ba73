package cgroup

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

const (
	hybridMounts = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	hybridOwn  = "9:name=systemd:/\n4:memory:/a\n1:cpu:/\n0::/\n"
	joinedOwn  = "3:cpu,cpuacct:/\n2:memory:/\n"
	joinedInfo = `32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
36 31 0:32 / /somewhere/else rw - cgroup cgroup rw,memory
`
)

func TestHierarchiesAreFoundInMountinfo(t *testing.T) {
	for _, test := range []struct {
		name, mountinfo, own string
		want                 []hierarchy
		version              string
		dirs                 string
	}{
		{"v1 controllers beside an empty v2", hybridMounts, hybridOwn, []hierarchy{
			{mount: "/sys/fs/cgroup/cpu", controllers: []string{"cpu"}},
			{mount: "/sys/fs/cgroup/memory", controllers: []string{"memory"}},
			{mount: "/sys/fs/cgroup/systemd", name: "systemd"},
			{mount: "/sys/fs/cgroup/unified", v2: true},
		}, "hybrid", "cpu memory systemd unified"},
		{"v1 with joined controllers, the first mount of each", joinedInfo, joinedOwn, []hierarchy{
			{mount: "/sys/fs/cgroup/cpu,cpuacct", controllers: []string{"cpu", "cpuacct"}},
			{mount: "/sys/fs/cgroup/memory", controllers: []string{"memory"}},
		}, "v1", "cpu,cpuacct memory"},
		{"v2 alone, also below a folder with a space", `29 23 0:26 / /sys/fs/c\040group rw - cgroup2 cgroup2 rw,nsdelegate` + "\n", "0::/x\n", []hierarchy{
			{mount: "/sys/fs/c group", v2: true},
		}, "v2", ""},
		{"nothing", "23 1 0:1 / /proc rw - proc proc rw\n", "0::/\n", nil, "v2", ""},
	} {
		got := parse(test.mountinfo, test.own)
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v", test.name, got)
		}
		h := &Host{got}
		if h.Version() != test.version {
			t.Errorf("%s: version %s, want %s", test.name, h.Version(), test.version)
		}
		var dirs []string
		for _, m := range h.Mounts() {
			dirs = append(dirs, m.Dir)
		}
		if strings.Join(dirs, " ") != test.dirs {
			t.Errorf("%s: mounts %v, want %s", test.name, dirs, test.dirs)
		}
	}
}

func TestLimitsBecomeFiles(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits spec.Resources
		v1, v2 string
	}{
		{"none", spec.Resources{}, "", ""},
		{"memory, with as much swap again", spec.Resources{Memory: 64 << 20},
			"memory.limit_in_bytes=67108864 memory.memsw.limit_in_bytes=134217728", "memory.max=67108864 memory.swap.max=67108864"},
		{"memory and swap together", spec.Resources{Memory: 100, MemorySwap: 150},
			"memory.limit_in_bytes=100 memory.memsw.limit_in_bytes=150", "memory.max=100 memory.swap.max=50"},
		{"memory and no end of swap", spec.Resources{Memory: 100, MemorySwap: -1},
			"memory.limit_in_bytes=100 memory.memsw.limit_in_bytes=-1", "memory.max=100 memory.swap.max=max"},
		{"a reservation", spec.Resources{MemoryReservation: 5}, "memory.soft_limit_in_bytes=5", "memory.low=5"},
		{"half a processor", spec.Resources{CPUs: 0.5}, "cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000", "cpu.max=50000 100000"},
		{"a quota of its own period", spec.Resources{CPUQuota: 2000, CPUPeriod: 10000}, "cpu.cfs_period_us=10000 cpu.cfs_quota_us=2000", "cpu.max=2000 10000"},
		{"a period alone", spec.Resources{CPUPeriod: 10000}, "cpu.cfs_period_us=10000", "cpu.max=max 10000"},
		{"the default share is the default weight", spec.Resources{CPUShares: 1024}, "cpu.shares=1024", "cpu.weight=100"},
		{"the least share", spec.Resources{CPUShares: 2}, "cpu.shares=2", "cpu.weight=1"},
		{"the largest share", spec.Resources{CPUShares: 262144}, "cpu.shares=262144", "cpu.weight=10000"},
		{"cpuset", spec.Resources{Cpuset: "0-1"}, "cpuset.cpus=0-1", "cpuset.cpus=0-1"},
		{"pids", spec.Resources{Pids: 10}, "pids.max=10", "pids.max=10"},
		{"any number of pids", spec.Resources{Pids: -1}, "pids.max=max", "pids.max=max"},
	} {
		for v2, want := range map[bool]string{false: test.v1, true: test.v2} {
			var got []string
			for _, v := range values(test.limits, func(string) bool { return v2 }) {
				got = append(got, v.file+"="+v.text)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s, v2 %v: %v, want %s", test.name, v2, got, want)
			}
		}
	}
}

func TestBlockLimitsBecomeFiles(t *testing.T) {
	disk := numbered{spec.BlockDevice{Path: "/dev/a", ReadBPS: 1, WriteBPS: 2, ReadIOPS: 3, WriteIOPS: 4}, "8:0"}
	for _, test := range []struct {
		name    string
		weight  int64
		devices []numbered
		v1, v2  string
	}{
		{"none", 0, nil, "", ""},
		{"all rates", 0, []numbered{disk},
			"blkio.throttle.read_bps_device=8:0 1 blkio.throttle.write_bps_device=8:0 2 blkio.throttle.read_iops_device=8:0 3 blkio.throttle.write_iops_device=8:0 4",
			"io.max=8:0 rbps=1 wbps=2 riops=3 wiops=4"},
		{"one rate of two devices", 0, []numbered{{spec.BlockDevice{ReadBPS: 5}, "8:0"}, {spec.BlockDevice{WriteIOPS: 6}, "8:16"}},
			"blkio.throttle.read_bps_device=8:0 5 blkio.throttle.write_iops_device=8:16 6", "io.max=8:0 rbps=5 io.max=8:16 wiops=6"},
		{"the least weight", 10, nil, "blkio.bfq.weight=10 or blkio.weight=10", "io.bfq.weight=10 or io.weight=1"},
		{"the largest weight", 1000, nil, "blkio.bfq.weight=1000 or blkio.weight=1000", "io.bfq.weight=1000 or io.weight=10000"},
		{"a weight for a device", 0, []numbered{{spec.BlockDevice{Weight: 500}, "8:0"}},
			"blkio.bfq.weight_device=8:0 500 or blkio.weight_device=8:0 500", "io.bfq.weight=8:0 500 or io.weight=8:0 4950"},
	} {
		for v2, want := range map[bool]string{false: test.v1, true: test.v2} {
			var got []string
			for _, v := range blockValues(test.weight, test.devices, v2) {
				got = append(got, v.file+"="+v.text)
				if v.other != nil {
					got = append(got, "or", v.other.file+"="+v.other.text)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s, v2 %v: %v, want %s", test.name, v2, got, want)
			}
		}
	}
}

func TestALimitWithoutControllerIsAnErrorThatNamesIt(t *testing.T) {
	h := &Host{[]hierarchy{{mount: "/x", controllers: []string{"cpu"}}}}
	_, err := h.values(spec.Resources{Pids: 3})
	if err == nil || err.Error() != "cannot set pids limit: this machine has no cgroup controller pids" || spec.Code(err) != "unavailable" {
		t.Errorf("%v", err)
	}
	for want, h := range map[string]*Host{"blkio": h, "io": {[]hierarchy{{mount: "/x", v2: true}}}} {
		_, err = h.values(spec.Resources{BlockIO: spec.BlockIO{Weight: 100}})
		if err == nil || err.Error() != "cannot set blkio weight: this machine has no cgroup controller "+want {
			t.Errorf("%v", err)
		}
	}
}

func TestWantedControllersThatAreOfferedAndMissingAreEnabled(t *testing.T) {
	got := missing(wanted(), []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"}, []string{"memory"})
	if !slices.Equal(got, []string{"cpu", "cpuset", "io", "pids"}) {
		t.Error(got)
	}
}

func TestCountersAreRead(t *testing.T) {
	const events = "low 0\nhigh 0\nmax 5\noom 2\noom_kill 3\noom_group_kill 0\n"
	if n := counter(events, "oom_kill"); n != 3 {
		t.Error(n)
	}
	if n := counter("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", "oom_kill"); n != 7 {
		t.Error(n)
	}
	if first("max\n") != 0 || first("12\n") != 12 || first("") != 0 {
		t.Error("first word")
	}
	if r, w := blockBytesV1("8:0 Read 10\n8:0 Write 20\n8:16 Read 1\nTotal 31\n"); r != 11 || w != 20 {
		t.Error(r, w)
	}
	if r, w := blockBytesV2("8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=0\n"); r != 11 || w != 20 {
		t.Error(r, w)
	}
}

// emulate runs a device program as the kernel would.
func emulate(t *testing.T, program []instruction, kind, access, major, minor uint32) uint64 {
	t.Helper()
	var reg [11]uint64
	context := map[int16]uint32{0: kind | access<<16, 4: major, 8: minor}
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		switch in.code {
		case loadWord:
			if in.src != 1 || reg[1] != 0 {
				t.Fatal("load from what is not the context")
			}
			reg[in.dst] = uint64(context[in.off])
		case andImm:
			reg[in.dst] &= uint64(int64(in.imm))
		case rshImm:
			reg[in.dst] >>= uint(in.imm)
		case movImm:
			reg[in.dst] = uint64(int64(in.imm))
		case movReg:
			reg[in.dst] = reg[in.src]
		case jneImm:
			if reg[in.dst] != uint64(int64(in.imm)) {
				pc += int(in.off)
			}
		case jneReg:
			if reg[in.dst] != reg[in.src] {
				pc += int(in.off)
			}
		case exit:
			return reg[0]
		default:
			t.Fatalf("unknown instruction %+v", in)
		}
	}
	t.Fatal("the program has no end")
	return 0
}

func TestTheDeviceProgramAllowsWhatTheRulesSay(t *testing.T) {
	const read, write, mknod = 2, 4, 1
	rules := append(DefaultDevices(), DeviceRule{"b", 8, 1, "r"})
	program := deviceProgram(rules)
	all := deviceProgram(AllDevices())
	for _, test := range []struct {
		name                       string
		kind, access, major, minor uint32
		want                       uint64
	}{
		{"null", 2, read | write, 1, 3, 1},
		{"any pty", 2, read | write, 136, 77, 1},
		{"making any node", 1, mknod, 8, 0, 1},
		{"opening a disk", 1, read, 8, 0, 0},
		{"making and opening a disk", 1, mknod | read, 8, 0, 0},
		{"the block device with the numbers of null", 1, read, 1, 3, 0},
		{"reading what may be read", 1, read, 8, 1, 1},
		{"writing what may be read", 1, read | write, 8, 1, 0},
		{"kmsg", 2, read, 1, 11, 0},
	} {
		if got := emulate(t, program, test.kind, test.access, test.major, test.minor); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
		if emulate(t, all, test.kind, test.access, test.major, test.minor) != 1 {
			t.Errorf("%s is denied to the privileged", test.name)
		}
	}
}

func TestWrongDeviceRulesAreRefused(t *testing.T) {
	for _, r := range []DeviceRule{{"x", 1, 1, "r"}, {"c", 1, 1, ""}, {"c", 1, 1, "rx"}, {"c", -2, 1, "r"}, {"", 1, 1, "r"}} {
		if r.check() == nil {
			t.Errorf("%+v is no error", r)
		}
	}
	if s := (DeviceRule{"c", 136, Any, "rw"}).String(); s != "c 136:* rw" {
		t.Error(s)
	}
}
