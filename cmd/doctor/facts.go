package doctor

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Facts are what a host tells.
type Facts struct {
	Kernel string // uname -r
	UID    int
	// Capabilities are our effective ones, a bit each.
	Capabilities uint64
	// Namespaces are the kinds that the kernel has.
	Namespaces []string
	// FileSystems of /proc/filesystems.
	FileSystems []string
	// Loaded are modules that are loaded or built in, Modules those that lie
	// ready to be loaded; "-" in a name is "_".
	Loaded, Modules []string
	// Configured are parts that the kernel was built with, if ConfigKnown.
	Configured  []string
	ConfigKnown bool
	State       Folder
	Cgroup      Cgroup
	// NFTables: the kernel answers on nf_tables.
	NFTables bool
	// Firewalls are other programs that write rules; LegacyFilter: ip_tables
	// has a filter table.
	Firewalls    []string
	LegacyFilter bool
	// SysReadOnly: /proc/sys cannot be written.
	SysReadOnly bool
	Nameservers []string
	// Files is the hard limit of open files.
	Files uint64
	// Sysctl are numbers by name; what is not there is not in it.
	Sysctl      map[string]int64
	Seccomp     bool
	MemfdNoExec int64
	// Parts: the binary holds its parts.
	Parts bool
}

// Folder is the state folder, or the nearest one above it that is there.
type Folder struct {
	Path               string
	Err                string
	Type               int64 // statfs f_type
	ReadOnly           bool
	Free               uint64 // bytes that we may use
	Inodes, FreeInodes uint64 // 0 where the file system does not count them
}

// Cgroup is the hierarchy below /sys/fs/cgroup; Version 0 is none.
type Cgroup struct {
	Version     int
	Controllers []string // sorted
	Writable    bool
}

// Look gathers the facts of the host whose / is root; stateDir is absolute.
func Look(root, stateDir string) Facts {
	l := looker{root}
	f := Facts{UID: os.Geteuid(), Sysctl: map[string]int64{}}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		f.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	f.Capabilities = l.capabilities()
	f.Namespaces = l.names("/proc/self/ns")
	f.FileSystems = l.lastWords("/proc/filesystems")
	f.Loaded, f.Modules = l.modules(f.Kernel)
	f.State = l.folder(stateDir)
	f.Cgroup = l.cgroup()
	f.Configured, f.ConfigKnown = l.configured(f.Kernel)
	f.NFTables = nftables()
	f.Firewalls = l.firewalls()
	f.LegacyFilter = slices.Contains(l.lastWords("/proc/net/ip_tables_names"), "filter")
	f.SysReadOnly = unix.Access(l.path("/proc/sys/net/ipv4/ip_forward"), unix.W_OK) != nil
	f.Nameservers = l.nameservers()
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		f.Files = limit.Max
	}
	for _, key := range sysctls() {
		if n, err := strconv.ParseInt(strings.TrimSpace(l.read("/proc/sys/"+strings.ReplaceAll(key, ".", "/"))), 10, 64); err == nil {
			f.Sysctl[key] = n
		}
	}
	f.MemfdNoExec = f.Sysctl["vm.memfd_noexec"]
	f.Seccomp = l.there("/proc/sys/kernel/seccomp/actions_avail")
	return f
}

func sysctls() []string {
	out := []string{"net.ipv4.ip_forward", "fs.inotify.max_user_watches", "fs.inotify.max_user_instances", "kernel.pid_max", "kernel.pty.max", "vm.memfd_noexec"}
	for _, n := range []string{"mnt", "net", "pid", "ipc", "uts", "cgroup"} {
		out = append(out, "user.max_"+n+"_namespaces")
	}
	return out
}

// looker reads below a root. What cannot be read is empty: the checks judge.
type looker struct{ root string }

func (l looker) path(path string) string { return filepath.Join(l.root, path) }

func (l looker) read(path string) string {
	data, _ := os.ReadFile(l.path(path))
	return string(data)
}

func (l looker) there(path string) bool {
	_, err := os.Lstat(l.path(path))
	return err == nil
}

func (l looker) names(dir string) []string {
	entries, _ := os.ReadDir(l.path(dir))
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// lastWords are the last words of each line.
func (l looker) lastWords(path string) []string {
	var out []string
	for line := range strings.Lines(l.read(path)) {
		if words := strings.Fields(line); len(words) > 0 {
			out = append(out, words[len(words)-1])
		}
	}
	return out
}

func (l looker) capabilities() uint64 {
	for line := range strings.Lines(l.read("/proc/self/status")) {
		if text, ok := strings.CutPrefix(line, "CapEff:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			return n
		}
	}
	return 0
}

// modules are those in use, and those that depmod(8) has listed.
func (l looker) modules(kernel string) (loaded, ready []string) {
	name := func(path string) string {
		base, _, _ := strings.Cut(filepath.Base(path), ".")
		return strings.ReplaceAll(base, "-", "_")
	}
	loaded = l.names("/sys/module")
	dir := "/lib/modules/" + kernel + "/"
	for line := range strings.Lines(l.read(dir + "modules.builtin")) {
		loaded = append(loaded, name(strings.TrimSpace(line)))
	}
	dep := bufio.NewScanner(bytes.NewReader([]byte(l.read(dir + "modules.dep"))))
	dep.Buffer(nil, 1<<20)
	for dep.Scan() {
		path, _, _ := strings.Cut(dep.Text(), ":")
		ready = append(ready, name(path))
	}
	return loaded, ready
}

func (l looker) folder(path string) Folder {
	f := Folder{Path: path}
	for at := path; ; at = filepath.Dir(at) { // it is made at the first use
		var s unix.Statfs_t
		err := unix.Statfs(l.path(at), &s)
		if err == unix.ENOENT && at != "/" {
			continue
		}
		if err != nil {
			f.Err = err.Error()
			return f
		}
		f.Type, f.ReadOnly = int64(s.Type), s.Flags&unix.ST_RDONLY != 0
		f.Free, f.Inodes, f.FreeInodes = s.Bavail*uint64(s.Bsize), s.Files, s.Ffree
		if info, err := os.Stat(l.path(at)); err == nil && !info.IsDir() {
			f.Err = at + " is no folder"
		}
		return f
	}
}

func (l looker) cgroup() Cgroup {
	const dir = "/sys/fs/cgroup"
	writable := func(path string) bool { return unix.Access(l.path(path), unix.W_OK) == nil }
	if l.there(dir + "/cgroup.controllers") {
		c := Cgroup{Version: 2, Controllers: strings.Fields(l.read(dir + "/cgroup.controllers")), Writable: writable(dir)}
		slices.Sort(c.Controllers)
		return c
	}
	c := Cgroup{Writable: true}
	mounted := l.names(dir)
	for line := range strings.Lines(l.read("/proc/cgroups")) {
		words := strings.Fields(line)
		if len(words) == 4 && words[0] != "#subsys_name" && words[3] == "1" && slices.Contains(mounted, words[0]) {
			c.Version = 1
			c.Controllers = append(c.Controllers, words[0])
			c.Writable = c.Writable && writable(dir+"/"+words[0])
		}
	}
	slices.Sort(c.Controllers)
	return c
}

// firewalls are those whose marks are there: they run, or are switched on.
func (l looker) firewalls() []string {
	var out []string
	if l.there("/run/firewalld/firewalld.pid") || l.there("/run/firewalld.pid") {
		out = append(out, "firewalld runs")
	}
	if strings.Contains(l.read("/etc/ufw/ufw.conf"), "ENABLED=yes") {
		out = append(out, "ufw is on")
	}
	if l.there("/run/docker.sock") {
		out = append(out, "dockerd runs")
	}
	return out
}

func (l looker) nameservers() []string {
	var out []string
	for line := range strings.Lines(l.read("/etc/resolv.conf")) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == "nameserver" {
			out = append(out, words[1])
		}
	}
	return out
}
