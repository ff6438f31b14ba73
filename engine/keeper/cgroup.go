package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// system is the leaf below /mycompose-<tag> for keeper and daemon; no project
// can be named so.
const system = "_system"

// joinCgroup takes the keeper, and so every daemon, out of the cgroups of who
// started it: out of a login session that ends with all that is in its cgroup,
// and of the cgroup of a monitor's own. On cgroup v2 it goes to a leaf of our
// own, in v1 hierarchies to their roots, where nothing is counted.
func joinCgroup(tag string) error {
	return place(tag, func(_ cgroupRoot, dir string) error { return enterCgroup(dir) })
}

// placeThread takes a locked thread there, and what it starts, as far as a thread
// can go alone: on v1. The file is the folder for the rest, v2, nil if there is
// none.
func placeThread(tag string) (leaf *os.File, err error) {
	err = place(tag, func(root cgroupRoot, dir string) (err error) {
		if root.unified {
			leaf, err = os.Open(dir)
			return err
		}
		// The kernel takes no lock for a thread that names itself by 0.
		return os.WriteFile(filepath.Join(dir, "tasks"), []byte("0"), 0)
	})
	if err != nil {
		leaf.Close() // nil is an error that means nothing
		return nil, err
	}
	return leaf, nil
}

// place calls enter for each hierarchy with the folder that is meant there.
func place(tag string, enter func(root cgroupRoot, dir string) error) error {
	roots, err := cgroupRoots()
	if err != nil {
		return fmt.Errorf("cannot leave the caller's cgroup: %w", err)
	}
	var problems []error
	for _, root := range roots {
		dir := root.path
		if root.unified {
			dir = filepath.Join(root.path, "mycompose-"+tag, system)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				problems = append(problems, err)
				continue
			}
		}
		problems = append(problems, enter(root, dir))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("cannot leave the caller's cgroup: %w", err)
	}
	return nil
}

// leaveCgroup removes our leaf; it stays if a monitor's neighbour is in it.
func leaveCgroup(tag string) {
	roots, err := cgroupRoots()
	if err != nil {
		return
	}
	for _, root := range roots {
		if !root.unified || enterCgroup(root.path) != nil {
			continue
		}
		parent := filepath.Join(root.path, "mycompose-"+tag)
		_ = os.Remove(filepath.Join(parent, system)) // EBUSY: still used
		_ = os.Remove(parent)
	}
}

func enterCgroup(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}

type cgroupRoot struct {
	path    string
	unified bool
}

// cgroupRoots finds the mounted hierarchies. None is no error.
func cgroupRoots() ([]cgroupRoot, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseCgroupRoots(string(raw)), nil
}

// parseCgroupRoots reads proc_pid_mountinfo(5).
func parseCgroupRoots(mountinfo string) []cgroupRoot {
	var roots []cgroupRoot
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		kind, _, _ := strings.Cut(after, " ")
		if !ok || len(fields) < 6 || kind != "cgroup" && kind != "cgroup2" {
			continue
		}
		if !strings.HasPrefix(fields[5], "rw") {
			continue
		}
		roots = append(roots, cgroupRoot{fields[4], kind == "cgroup2"})
	}
	return roots
}
