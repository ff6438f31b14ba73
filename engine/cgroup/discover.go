package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/engine/recipe"
)

// Host is the machine's mounted hierarchies.
type Host struct {
	hierarchies []hierarchy
}

// hierarchy is one mounted tree of groups.
type hierarchy struct {
	mount string // where it is mounted
	v2    bool
	// controllers are v1 controllers bound to it, or those that v2 offers.
	controllers []string
	name        string // of a named v1 hierarchy without controllers: "systemd"
}

func (h hierarchy) has(controller string) bool { return slices.Contains(h.controllers, controller) }

// Discover reads the mounted hierarchies of this process.
func Discover() (*Host, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot find cgroups: %w", err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("cannot find cgroups: %w", err)
	}
	host := &Host{hierarchies: parse(string(mountinfo), string(own))}
	for i := range host.hierarchies {
		h := &host.hierarchies[i]
		if !h.v2 {
			continue
		}
		available, err := os.ReadFile(path.Join(h.mount, "cgroup.controllers"))
		if err != nil {
			return nil, fmt.Errorf("cannot read v2 controllers: %w", err)
		}
		h.controllers = strings.Fields(string(available))
	}
	if len(host.hierarchies) == 0 {
		return nil, errors.New("cannot find cgroups: no cgroup file system is mounted (/sys/fs/cgroup)")
	}
	return host, nil
}

// parse finds the hierarchies in proc_pid_mountinfo(5) and the names of their
// controllers in proc_pid_cgroup(5); the first mount of a hierarchy counts.
func parse(mountinfo, own string) []hierarchy {
	v1 := v1Controllers(own)
	var found []hierarchy
	seen := map[string]bool{}
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) < 3 {
			continue
		}
		h := hierarchy{mount: unescape(fields[4])}
		switch kind[0] {
		case "cgroup2":
			h.v2 = true
		case "cgroup":
			h.controllers, h.name = fromOptions(kind[2], v1)
			if len(h.controllers) == 0 && h.name == "" {
				continue
			}
		default:
			continue
		}
		key := kind[0] + ":" + strings.Join(h.controllers, ",") + ":" + h.name
		if !seen[key] {
			seen[key] = true
			found = append(found, h)
		}
	}
	return found
}

// v1Controllers lists the controllers that the kernel has bound to v1.
func v1Controllers(own string) (all []string) {
	for line := range strings.Lines(own) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && fields[1] != "" {
			all = append(all, strings.Split(fields[1], ",")...)
		}
	}
	return all
}

func fromOptions(options string, v1 []string) (controllers []string, name string) {
	for option := range strings.SplitSeq(options, ",") {
		if n, ok := strings.CutPrefix(option, "name="); ok {
			name = n
		} else if slices.Contains(v1, option) {
			controllers = append(controllers, option)
		}
	}
	return controllers, name
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// Version is "v2", "v1" or "hybrid" (v1 controllers beside a v2 hierarchy).
func (h *Host) Version() string {
	var v1, v2 bool
	for _, one := range h.hierarchies {
		v2 = v2 || one.v2
		v1 = v1 || !one.v2 && len(one.controllers) > 0
	}
	switch {
	case v1 && v2:
		return "hybrid"
	case v1:
		return "v1"
	}
	return "v2"
}

// Controllers are all that limits can be set with, sorted.
func (h *Host) Controllers() []string {
	var all []string
	for _, one := range h.hierarchies {
		all = append(all, one.controllers...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Mounts is what a container sees below /sys/fs/cgroup.
func (h *Host) Mounts() []recipe.CgroupMount {
	if h.Version() == "v2" {
		return []recipe.CgroupMount{{Type: "cgroup2"}}
	}
	var mounts []recipe.CgroupMount
	for _, one := range h.hierarchies {
		switch {
		case one.v2:
			mounts = append(mounts, recipe.CgroupMount{Dir: "unified", Type: "cgroup2"})
		case one.name != "":
			mounts = append(mounts, recipe.CgroupMount{Dir: one.name, Type: "cgroup", Options: "none,name=" + one.name})
		default:
			options := strings.Join(one.controllers, ",")
			mounts = append(mounts, recipe.CgroupMount{Dir: options, Type: "cgroup", Options: options})
		}
	}
	return mounts
}

// with returns the hierarchy that holds a controller, v1 before v2.
func (h *Host) with(controller string) (hierarchy, bool) {
	for _, v2 := range []bool{false, true} {
		for _, one := range h.hierarchies {
			if one.v2 == v2 && one.has(controller) {
				return one, true
			}
		}
	}
	return hierarchy{}, false
}

// unified returns the v2 hierarchy if there is one.
func (h *Host) unified() (hierarchy, bool) {
	for _, one := range h.hierarchies {
		if one.v2 {
			return one, true
		}
	}
	return hierarchy{}, false
}
