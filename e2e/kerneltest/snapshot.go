package kerneltest

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/nftables"
)

// takeProcesses finds processes by their argument list: ours show as
// "mycompose daemon" and "mycompose-…".
func takeProcesses(s Snapshot, tag string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		raw, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(raw) == 0 {
			continue
		}
		args := strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
		base := filepath.Base(args[0])
		ours := strings.HasPrefix(base, "mycompose-") || base == "mycompose" && len(args) > 1 && args[1] == "daemon"
		if !ours {
			continue
		}
		if tag != "" && !strings.Contains(processTag(dir), tag) {
			continue
		}
		s["process "+filepath.Base(dir)+" "+strings.Join(args, " ")] = true
	}
}

// processTag is the cgroup of a process: it carries the tag of its state folder.
func processTag(dir string) string {
	raw, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return ""
	}
	return string(raw)
}

func takeMounts(s Snapshot, tag string) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := fields[4]
		if strings.Contains(point, "mycompose") && strings.Contains(point, tag) {
			s["mount "+point] = true
		}
	}
}

func takeLinks(s Snapshot, tag string) {
	links, err := net.Interfaces()
	if err != nil {
		return
	}
	for _, link := range links {
		if isOurLink(link.Name) && strings.HasPrefix(link.Name, "mc"+tag) {
			s["link "+link.Name] = true
		}
	}
}

// isOurLink knows "mc", 8 hex digits of the tag, and up to five characters.
func isOurLink(name string) bool {
	if len(name) < 10 || !strings.HasPrefix(name, "mc") {
		return false
	}
	return strings.Trim(name[2:10], "0123456789abcdef") == ""
}

func takeCgroups(s Snapshot, tag string) {
	const root = "/sys/fs/cgroup"
	depth := strings.Count(root, "/")
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if !entry.IsDir() {
			return nil
		}
		if strings.HasPrefix(entry.Name(), "mycompose-") && strings.Contains(entry.Name(), tag) {
			s["cgroup "+path] = true
			return fs.SkipDir
		}
		if strings.Count(path, "/") > depth+5 {
			return fs.SkipDir
		}
		return nil
	})
}

func takeTables(s Snapshot, tag string) {
	conn, err := nftables.New()
	if err != nil {
		return
	}
	tables, err := conn.ListTables()
	if err != nil {
		return
	}
	for _, table := range tables {
		if strings.HasPrefix(table.Name, "mycompose_") && strings.Contains(table.Name, tag) {
			s["nft table "+table.Name] = true
		}
	}
}
