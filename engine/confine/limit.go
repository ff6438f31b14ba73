package confine

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spec"
)

// RlimitNames are the ulimits that can be set, getrlimit(2) without RLIMIT_.
func RlimitNames() []string {
	return []string{
		"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue",
		"nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
	}
}

// Rlimits checks ulimits and returns them sorted by name; -1 is unlimited.
func Rlimits(ulimits map[string]spec.Ulimit) ([]recipe.Rlimit, error) {
	var out []recipe.Rlimit
	for _, name := range slices.Sorted(maps.Keys(ulimits)) {
		u := ulimits[name]
		if !slices.Contains(RlimitNames(), name) {
			return nil, spec.Errorf(spec.ErrInvalid, "cannot set ulimit %q: it must be one of %s", name, strings.Join(RlimitNames(), ", "))
		}
		soft, hard := limitValue(u.Soft), limitValue(u.Hard)
		if u.Soft < -1 || u.Hard < -1 || soft > hard {
			return nil, spec.Errorf(spec.ErrInvalid, "cannot set ulimit %s to %d:%d: the soft limit must not be above the hard one", name, u.Soft, u.Hard)
		}
		out = append(out, recipe.Rlimit{Type: name, Soft: soft, Hard: hard})
	}
	return out, nil
}

func limitValue(v int64) uint64 {
	if v == -1 {
		return math.MaxUint64
	}
	return uint64(v)
}

// Shared says which namespaces a container has in common with the host.
type Shared struct{ Network, IPC, UTS bool }

// CheckSysctl refuses a kernel parameter that is not one of the container's
// own namespaces: sysctl(8) name with dots, or slashes as in /proc/sys.
func CheckSysctl(name string, shared Shared) error {
	dotted := name
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '/' {
		dotted = strings.ReplaceAll(name, "/", ".")
	}
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r == '/' }) {
		if part == ".." || part == "." {
			return spec.Errorf(spec.ErrInvalid, "cannot set sysctl %q: it is not a name", name)
		}
	}
	host := false
	switch spec.SysctlNamespace(dotted) {
	case "ipc":
		host = shared.IPC
	case "net":
		host = shared.Network
	case "uts":
		host = shared.UTS
	default:
		return spec.Errorf(spec.ErrInvalid, "cannot set sysctl %q: it is not one of a container's own (%s)", name, spec.OwnSysctls)
	}
	if host {
		return spec.Errorf(spec.ErrInvalid, "cannot set sysctl %q: the container uses the host's namespace", name)
	}
	return nil
}

// boundingSet returns what this process may hand on.
func boundingSet() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("capget: %w", err)
	}
	held := uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted)
	for n := range uint(64) {
		set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil || set == 0 {
			held &^= 1 << n
		}
	}
	return held, nil
}
