package crash

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
)

// things is a picture of all that mycompose has of the machine and of its
// folders, one line each.
type things map[string]bool

func (w *world) look() things {
	t := things{}
	w.lookAtProcesses(t)
	w.lookAtKernel(t)
	w.lookAtRules(t)
	w.lookAtFiles(t)
	return t
}

// isSpare reports whether a command line is that of a monitor without a container.
func isSpare(line string) bool { return strings.HasSuffix(line, "mycompose-monitor ------------") }

// lookAtProcesses takes roles without their numbers, and the network
// namespaces that they hold.
func (w *world) lookAtProcesses(t things) {
	for _, dir := range glob("/proc/[0-9]*") {
		raw, _ := os.ReadFile(dir + "/cmdline")
		if !bytes.Contains(raw, []byte("mycompose")) || !w.owns(dir) {
			continue
		}
		args := strings.ReplaceAll(strings.TrimRight(string(raw), "\x00"), "\x00", " ")
		if isSpare(args) && len(w.roles("daemon")) > 0 {
			continue // a daemon has some now and then
		}
		t["process "+args[strings.LastIndex(args[:strings.IndexByte(args+" ", ' ')], "/")+1:]] = true
		for _, fd := range glob(dir + "/fd/*") {
			if to, _ := os.Readlink(fd); strings.HasPrefix(to, "net:") {
				t["namespace "+to] = true
			}
		}
	}
}

// lookAtKernel takes cgroups, mounts and links.
func (w *world) lookAtKernel(t things) {
	for _, root := range append(glob("/sys/fs/cgroup/*/mycompose-"+w.tag), glob("/sys/fs/cgroup/mycompose-"+w.tag)...) {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				t["cgroup "+path] = true
			}
			return nil
		})
	}
	raw, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 4 && (strings.Contains(fields[4], w.state) || strings.Contains(fields[4], w.tag)) {
			t["mount "+fields[4]] = true
		}
	}
	links, _ := net.Interfaces()
	for _, link := range links {
		if strings.HasPrefix(link.Name, "mc"+w.tag) {
			t["link "+link.Name] = true
		}
	}
}

// lookAtRules takes the elements of our firewall table.
func (w *world) lookAtRules(t things) {
	conn, err := nftables.New()
	if err != nil {
		return
	}
	table := &nftables.Table{Name: "mycompose_" + w.tag, Family: nftables.TableFamilyINet}
	sets, err := conn.GetSets(table)
	if err != nil {
		return
	}
	for _, set := range sets {
		elements, _ := conn.GetSetElements(set)
		for _, e := range elements {
			t[fmt.Sprintf("rule %s %x %x %x", set.Name, e.Key, e.KeyEnd, e.Val)] = true
		}
	}
}

// ignored are what changes by itself: contents of images and containers, logs
// of the neighbour, operations, which are kept for a minute, and our own files.
var ignored = []string{
	"state/images", "state/imagenames", "state/builder", "state/layers", "state/parts", "state/faults", "state/daemon.log",
	"state/logs/near", "state/*/*/upper", "state/*/*/work", "state/volumes/*/_data", "state/projects/*/operations",
	"run/locks/image*", "state/projects/_", "state/inputs",
}

func (w *world) lookAtFiles(t things) {
	for name, root := range map[string]string{"state": w.state, "run": "/run/mycompose/" + w.tag} {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			short := name + strings.TrimPrefix(path, root)
			temporary := strings.HasSuffix(path, ".tmp")
			if slices.ContainsFunc(ignored, func(pattern string) bool {
				matched, _ := filepath.Match(pattern, short)
				return matched
			}) {
				if entry.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if entry.IsDir() && strings.HasPrefix(short, "state/projects/") {
				return nil // it goes with its last operation
			}
			line := "file " + short
			if entry.Name() == "leases.json" {
				content, _ := os.ReadFile(path)
				lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
				line += " " + string(lines[len(lines)-1]) // the last object counts
			}
			if temporary {
				line = "temporary " + line
			}
			t[line] = true
			return nil
		})
	}
}

// settleTime bounds how long dead links and namespaces take to go.
const settleTime = time.Minute

// compare waits until the machine is as it was, and returns what is not.
func (w *world) compare() (more, less []string) {
	for end := time.Now().Add(settleTime); ; time.Sleep(20 * time.Millisecond) {
		now := w.look()
		more, less = minus(now, w.before), minus(w.before, now)
		if len(more)+len(less) == 0 || time.Now().After(end) {
			return more, less
		}
	}
}

func minus(a, b things) (out []string) {
	for thing := range a {
		if !b[thing] {
			out = append(out, thing)
		}
	}
	slices.Sort(out)
	return out
}
