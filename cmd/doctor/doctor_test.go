package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fine are the facts of a host that lacks nothing.
func fine() Facts {
	return Facts{
		Kernel: "6.1.0-28-amd64", Capabilities: ^uint64(0), Namespaces: []string{"cgroup", "ipc", "mnt", "net", "pid", "uts", "user"},
		FileSystems: []string{"ext4", "overlay"}, Loaded: []string{"bridge", "nf_tables"}, Modules: []string{"veth"}, NFTables: true,
		State:  Folder{Path: "/var/lib/mycompose", Type: 0xef53, Free: 5 << 30, Inodes: 100, FreeInodes: 50},
		Cgroup: Cgroup{Version: 2, Controllers: []string{"cpu", "cpuset", "io", "memory", "pids"}, Writable: true},
		Sysctl: map[string]int64{"net.ipv4.ip_forward": 0, "fs.inotify.max_user_watches": 200000, "fs.inotify.max_user_instances": 128,
			"kernel.pid_max": 4194304, "kernel.pty.max": 4096, "user.max_net_namespaces": 1000},
		Nameservers: []string{"192.0.2.1"}, Files: 1 << 20, Seccomp: true, Parts: true,
	}
}

func TestEachThingThatIsMissingHasOneLineAndACure(t *testing.T) {
	for name, spoil := range map[string]func(*Facts){
		"":                                       func(*Facts) {},
		"lacks kernel: 5.10.0 is older than 6.1": func(f *Facts) { f.Kernel = "5.10.0" },
		`weak kernel: the version "?" cannot be read`:                                                                      func(f *Facts) { f.Kernel = "?" },
		"lacks rights: this user is not root":                                                                              func(f *Facts) { f.UID, f.Capabilities = 1000, 0 },
		"lacks rights: root without CAP_NET_ADMIN":                                                                         func(f *Facts) { f.Capabilities &^= 1 << 12 },
		"weak rights: without CAP_SYS_RESOURCE ulimits cannot be raised above ours":                                        func(f *Facts) { f.Capabilities &^= 1 << 24 },
		"lacks namespaces: the kernel has no cgroup, net namespaces":                                                       func(f *Facts) { f.Namespaces = []string{"ipc", "mnt", "pid", "uts"} },
		"lacks namespaces: user.max_net_namespaces is 0":                                                                   func(f *Facts) { f.Sysctl["user.max_net_namespaces"] = 0 },
		"lacks overlayfs: the kernel has none":                                                                             func(f *Facts) { f.FileSystems = nil },
		"lacks state folder: /var/lib/mycompose lies on overlayfs (inside of a container), which can hold no container":    func(f *Facts) { f.State.Type = magicOverlay },
		"lacks state folder: /var/lib/mycompose is read-only":                                                              func(f *Facts) { f.State.ReadOnly = true },
		"weak state folder: /var/lib/mycompose lies in memory and is lost at the next boot":                                func(f *Facts) { f.State.Type = magicTmpfs },
		"lacks state folder: /var/lib/mycompose: not a directory":                                                          func(f *Facts) { f.State.Err = "not a directory" },
		"weak disk space: 10 MiB are free in the state folder":                                                             func(f *Facts) { f.State.Free = 10 << 20 },
		"weak disk space: less than 5% of the inodes are free in the state folder":                                         func(f *Facts) { f.State.FreeInodes = 1 },
		"lacks cgroup: no hierarchy is mounted":                                                                            func(f *Facts) { f.Cgroup = Cgroup{} },
		"lacks cgroup: the hierarchy is read-only":                                                                         func(f *Facts) { f.Cgroup.Writable = false },
		"weak cgroup memory: no such controller: mem_limit cannot be held":                                                 func(f *Facts) { f.Cgroup.Controllers = []string{"cpu", "cpuset", "pids"} },
		"weak cgroup freezer: no such controller: containers cannot be paused":                                             func(f *Facts) { f.Cgroup.Version = 1 },
		"lacks nftables: the kernel has no nf_tables, or we have no right to it: no networks, no published ports":          func(f *Facts) { f.NFTables, f.Loaded = false, []string{"bridge"} },
		"lacks bridges: the kernel has no bridge and no veth":                                                              func(f *Facts) { f.Loaded, f.Modules = []string{"nf_tables"}, []string{"x"} },
		"lacks forwarding: net.ipv4.ip_forward is 0 and cannot be written":                                                 func(f *Facts) { f.SysReadOnly = true },
		"weak firewall: the filter table of iptables-legacy is loaded; what its FORWARD chain drops is dropped for us too": func(f *Facts) { f.LegacyFilter = true },
		"weak DNS: /etc/resolv.conf names no server: containers find each other, and nothing outside":                      func(f *Facts) { f.Nameservers = nil },
		"weak open files: the hard limit is 1024":                                                                          func(f *Facts) { f.Files = 1024 },
		"weak inotify: 8192 folders can be watched":                                                                        func(f *Facts) { f.Sysctl["fs.inotify.max_user_watches"] = 8192 },
		"weak inotify: the kernel has none: watch has to poll":                                                             func(f *Facts) { delete(f.Sysctl, "fs.inotify.max_user_watches") },
		"lacks seccomp: the kernel has no seccomp filters":                                                                 func(f *Facts) { f.Seccomp = false },
		"weak memfd exec: vm.memfd_noexec is 2: processes do not share one program in memory":                              func(f *Facts) { f.MemfdNoExec = 2 },
		"lacks program: this binary was built without its parts":                                                           func(f *Facts) { f.Parts = false },
		"weak processes: kernel.pid_max is 100":                                                                            func(f *Facts) { f.Sysctl["kernel.pid_max"] = 100 },
		"weak terminals: kernel.pty.max is 10":                                                                             func(f *Facts) { f.Sysctl["kernel.pty.max"] = 10 },
	} {
		f := fine()
		spoil(&f)
		var bad []string
		for _, finding := range Examine(f) {
			if (finding.Cure == "") != (finding.Grade == OK) || strings.Contains(finding.Text+finding.Cure, "\n") {
				t.Errorf("%s: %+v", name, finding)
			}
			if finding.Grade != OK {
				bad = append(bad, fmt.Sprintf("%s %s: %s", finding.Grade, finding.Subject, finding.Text))
			}
		}
		if got := strings.Join(bad, "; "); got != name {
			t.Errorf("got  %s\nwant %s", got, name)
		}
		want := Grade(strings.Fields(name + " ok")[0])
		if got := Worst(Examine(f)); got != want {
			t.Errorf("%s: worst is %s", name, got)
		}
	}
}

func TestLookReadsWhatAHostTells(t *testing.T) {
	root := t.TempDir()
	kernel := Look(root, "/state").Kernel
	for path, text := range map[string]string{
		"proc/self/status": "Name:\tx\nCapEff:\t000001ffffffffff\n", "proc/self/ns/net": "", "proc/filesystems": "nodev\tproc\n\text4\nnodev\toverlay\n",
		"lib/modules/" + kernel + "/modules.builtin": "kernel/net/bridge/bridge.ko\n",
		"lib/modules/" + kernel + "/modules.dep":     "kernel/drivers/net/veth.ko.xz:\nkernel/net/netfilter/nf-tables.ko: kernel/lib/libcrc32c.ko\n",
		"boot/config-" + kernel:                      "# CONFIG_X is not set\nCONFIG_OVERLAY_FS=m\n",
		"sys/fs/cgroup/cgroup.controllers":           "pids memory\n", "proc/sys/net/ipv4/ip_forward": "1\n", "proc/sys/vm/memfd_noexec": "2\n",
		"proc/sys/kernel/seccomp/actions_avail": "kill\n", "etc/resolv.conf": "# x\nnameserver 192.0.2.53\nsearch x\n",
		"etc/ufw/ufw.conf": "ENABLED=yes\n", "run/docker.sock": "", "proc/net/ip_tables_names": "filter\n",
	} {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := Look(root, "/state/not/there/yet")
	got := fmt.Sprintln(f.Capabilities == 1<<41-1, f.Namespaces, f.FileSystems, f.Loaded, f.Modules, f.Configured, f.ConfigKnown, f.Cgroup,
		f.Sysctl["net.ipv4.ip_forward"], f.MemfdNoExec, f.Seccomp, f.Nameservers, f.Firewalls, f.LegacyFilter, f.State.Err, f.State.Type != 0)
	want := "true [net] [proc ext4 overlay] [bridge] [veth nf_tables] [overlay] true {2 [memory pids] true} 1 2 true [192.0.2.53] [ufw is on dockerd runs] true  true\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	v1 := t.TempDir()
	os.MkdirAll(v1+"/sys/fs/cgroup/memory", 0o755)
	os.MkdirAll(v1+"/proc", 0o755)
	os.WriteFile(v1+"/proc/cgroups", []byte("#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t1\t2\t1\npids\t2\t3\t1\ncpu\t3\t3\t0\n"), 0o644)
	if c := Look(v1, "/").Cgroup; c.Version != 1 || fmt.Sprint(c.Controllers) != "[memory]" {
		t.Errorf("v1: %+v", c)
	}
	if Look("/", t.TempDir()).Kernel == "" {
		t.Error("this host has no kernel")
	}
}
