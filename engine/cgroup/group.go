package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/spec"
)

// Group is one control group in every hierarchy.
type Group struct {
	host *Host
	path string // "/mycompose-1a2b3c4d/shop/<id>"
}

// Path is the group's name.
func (g *Group) Path() string { return g.path }

// Group names a group, which need not exist.
func (h *Host) Group(name string) *Group { return &Group{h, path.Clean("/" + name)} }

// Create makes the group with its parents and sets limits and devices, also
// if it exists. A group that it cannot finish is removed again.
func (h *Host) Create(name string, limits spec.Resources, devices []DeviceRule) (*Group, error) {
	g := h.Group(name)
	values, err := h.values(limits)
	if err == nil {
		err = g.create(values, devices)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot create cgroup %s: %w", g.path, err)
	}
	return g, nil
}

func (g *Group) create(values []value, devices []DeviceRule) error {
	if err := g.makeAll(); err != nil {
		return errors.Join(err, g.removeEmpty())
	}
	for _, v := range values {
		if err := v.write(g); err != nil {
			return errors.Join(err, g.removeEmpty())
		}
	}
	if err := g.allowDevices(devices); err != nil {
		return errors.Join(err, g.removeEmpty())
	}
	fault.Point("cgroup:made")
	return nil
}

func (g *Group) makeAll() error {
	for _, h := range g.host.hierarchies {
		if err := h.make(g.path); err != nil {
			return err
		}
	}
	return nil
}

// dir is the group's folder in a hierarchy.
func (g *Group) dir(h hierarchy) string { return path.Join(h.mount, g.path) }

// Procs opens what a new process enters the group by, one per hierarchy,
// for recipe.Recipe.Cgroups: the folder on v2, for CLONE_INTO_CGROUP, the
// tasks file on v1, for a thread that writes "0". Both spare the lock that a
// write to cgroup.procs takes, which waits for an RCU grace period of 10 to
// 20 ms on a machine where nothing else was moved lately.
func (g *Group) Procs() (files []*os.File, err error) {
	for _, h := range g.host.hierarchies {
		var f *os.File
		if h.v2 {
			f, err = openFile(g.dir(h), unix.O_RDONLY)
		} else {
			f, err = openFile(path.Join(g.dir(h), "tasks"), unix.O_WRONLY)
		}
		if err != nil {
			for _, opened := range files {
				opened.Close()
			}
			return nil, fmt.Errorf("cannot open cgroup %s: %w", g.path, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// Add moves a process of the caller's pid namespace into the group, 0 for the
// caller itself.
func (g *Group) Add(pid int) error {
	err := fault.Errno("cgroup:move")
	for _, h := range g.host.hierarchies {
		err = errors.Join(err, write(path.Join(g.dir(h), "cgroup.procs"), strconv.Itoa(pid)))
	}
	if err != nil {
		return fmt.Errorf("cannot move process %d into cgroup %s: %w", pid, g.path, err)
	}
	return nil
}

// Exists reports whether the group is there in any hierarchy.
func (g *Group) Exists() bool {
	for _, h := range g.host.hierarchies {
		if _, err := os.Stat(g.dir(h)); err == nil {
			return true
		}
	}
	return false
}

// PIDs are the processes in the group and below it, in any hierarchy, as the
// caller's pid namespace numbers them. A group that does not exist has none.
func (g *Group) PIDs() ([]int, error) {
	seen := map[int]bool{}
	var pids []int
	for _, h := range g.host.hierarchies {
		err := walk(g.dir(h), func(dir string) error {
			data, err := readFile(path.Join(dir, "cgroup.procs"))
			if err != nil {
				return err
			}
			for word := range strings.FieldsSeq(string(data)) {
				pid, err := strconv.Atoi(word)
				if err == nil && pid > 0 && !seen[pid] {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("cannot list processes of cgroup %s: %w", g.path, err)
		}
	}
	return pids, nil
}

// List returns the groups two levels below a name, <name>/<project>/<id>, as
// names again; none if it does not exist. A group that only some hierarchies
// have is listed too.
func (h *Host) List(name string) ([]string, error) {
	seen := map[string]bool{}
	var groups []string
	name = path.Clean("/" + name)
	for _, one := range h.hierarchies {
		projects, err := subfolders(path.Join(one.mount, name))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot list cgroups of %s: %w", name, err)
		}
		for _, project := range projects {
			ids, err := subfolders(path.Join(one.mount, name, project))
			if err != nil && !gone(err) {
				return nil, fmt.Errorf("cannot list cgroups of %s: %w", name, err)
			}
			for _, id := range ids {
				group := path.Join(name, project, id)
				if !seen[group] {
					seen[group] = true
					groups = append(groups, group)
				}
			}
		}
	}
	return groups, nil
}

// walk calls visit for dir and what is below it, the deepest first. What goes
// away meanwhile is left out.
func walk(dir string, visit func(dir string) error) error {
	children, err := subfolders(dir)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range children {
		if err := walk(path.Join(dir, name), visit); err != nil {
			return err
		}
	}
	if err := visit(dir); err != nil && !gone(err) {
		return err
	}
	return nil
}

func subfolders(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// gone is said of a group that was removed: no such file, or, for a file of
// it that was open, no such device.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoDevice)
}
