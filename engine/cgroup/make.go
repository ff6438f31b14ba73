package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

const errNoDevice = unix.ENODEV

// errEmptyParent is said of a v1 cpuset whose maker has not filled it yet, or
// died before.
var errEmptyParent = errors.New("the parent has neither processors nor memory nodes")

// leaf takes in the processes of a v2 group that is to hand controllers on
// and so may hold none itself.
const leaf = "mycompose-leaf"

// wanted are the v2 controllers handed on to containers, as far as offered.
func wanted() []string { return []string{"cpu", "cpuset", "io", "memory", "pids"} }

// makeTries bounds how often a group is begun again because its parents went:
// each time somebody, another process perhaps, removed their last group.
const makeTries = 100

// make creates the group with its parents, which cannot go once it stands.
func (h hierarchy) make(group string) (err error) {
	for range makeTries {
		if err = h.tryMake(group); !gone(err) {
			return err
		}
	}
	return err
}

func (h hierarchy) tryMake(group string) error {
	if !h.v2 {
		// As a rule the parents stand and are ready: for the second container
		// of a project one call in place of three, each of which takes the
		// lock of a folder that all starts share.
		err := h.makeLast(path.Join(h.mount, group))
		if !gone(err) && !errors.Is(err, errEmptyParent) {
			return err
		}
	}
	dir := h.mount
	for name := range strings.SplitSeq(strings.Trim(group, "/"), "/") {
		if h.v2 {
			if err := handOn(dir, wanted()); err != nil {
				return err
			}
		}
		dir = path.Join(dir, name)
		if err := h.makeLast(dir); err != nil {
			return err
		}
	}
	return nil
}

// makeLast makes a group whose parent stands; one that exists is as good.
func (h hierarchy) makeLast(dir string) error {
	if err := fault.Errno("cgroup:make"); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o755)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if h.has("cpuset") && !h.v2 {
		return inheritCPUSet(dir)
	}
	return nil
}

// handOn enables those of the wanted controllers that are offered for the
// children of a v2 group.
func handOn(dir string, wanted []string) error {
	file := path.Join(dir, "cgroup.subtree_control")
	data, err := readFile(file)
	if err != nil {
		return err
	}
	enabled := strings.Fields(string(data))
	offered, err := readFile(path.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, name := range missing(wanted, strings.Fields(string(offered)), enabled) {
		err := write(file, "+"+name)
		if errors.Is(err, unix.EBUSY) {
			// No internal processes: cgroup-v2.rst. This is a group that was
			// delegated to us and that we are in.
			if err = moveToLeaf(dir); err == nil {
				err = write(file, "+"+name)
			}
		}
		// A controller that is offered but bound elsewhere, or that does not
		// work with real-time processes in the root (cpu), is left out; a
		// limit that needs it says so.
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("cannot enable controller %s: %w", name, err)
		}
	}
	return nil
}

// missing are the wanted controllers that are offered and not yet enabled.
func missing(wanted, offered, enabled []string) (names []string) {
	for _, name := range wanted {
		if slices.Contains(offered, name) && !slices.Contains(enabled, name) {
			names = append(names, name)
		}
	}
	return names
}

func moveToLeaf(dir string) error {
	target := path.Join(dir, leaf)
	if err := os.Mkdir(target, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	data, err := readFile(path.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	for pid := range strings.FieldsSeq(string(data)) {
		// A process that ended meanwhile or a kernel thread cannot move.
		err := write(path.Join(target, "cgroup.procs"), pid)
		if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return nil
}

// inheritCPUSet fills an empty v1 cpuset from its parent: without processors
// and memory nodes no process can enter.
func inheritCPUSet(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := readFile(path.Join(dir, file))
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(own)) != "" {
			continue
		}
		parent, err := readFile(path.Join(path.Dir(dir), file))
		if err != nil {
			return err
		}
		value := strings.TrimSpace(string(parent))
		if value == "" {
			return errEmptyParent
		}
		if err := write(path.Join(dir, file), value); err != nil {
			return err
		}
	}
	return nil
}
