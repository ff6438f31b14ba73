package spec

import (
	"slices"
	"strconv"
	"strings"
)

// OwnSysctls says which kernel parameters a container has of its own, for
// messages.
const OwnSysctls = "kernel.msg*, kernel.sem, kernel.shm*, kernel.domainname, fs.mqueue.*, net.*"

// SysctlNamespace is the namespace that a kernel parameter (dotted name)
// belongs to: "ipc", "net" or "uts"; "" for one of the whole host.
func SysctlNamespace(name string) string {
	ipc := []string{
		"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
		"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
	}
	switch {
	case slices.Contains(ipc, name), strings.HasPrefix(name, "fs.mqueue."):
		return "ipc"
	case strings.HasPrefix(name, "net."):
		return "net"
	case name == "kernel.domainname":
		return "uts"
	}
	return ""
}

// DeviceRule allows access to device nodes.
type DeviceRule struct {
	Type         string // "c", "b", or "a" for all devices whatsoever
	Major, Minor int64  // -1 for all
	Access       string // of "rwm": read, write, mknod
}

// ParseDeviceRule reads "TYPE MAJOR:MINOR ACCESS", where * is all, as cgroup
// v1's devices.allow takes it.
func ParseDeviceRule(text string) (DeviceRule, error) {
	wrong := Errorf(ErrInvalid, "%q is no rule for devices", text)
	fields := strings.Fields(text)
	if len(fields) != 3 || !slices.Contains([]string{"a", "b", "c"}, fields[0]) || strings.Trim(fields[2], "rwm") != "" {
		return DeviceRule{}, wrong
	}
	major, minor, ok := strings.Cut(fields[1], ":")
	if !ok {
		return DeviceRule{}, wrong
	}
	rule := DeviceRule{Type: fields[0], Access: fields[2]}
	for _, n := range []struct {
		text string
		to   *int64
	}{{major, &rule.Major}, {minor, &rule.Minor}} {
		*n.to = -1
		if n.text == "*" {
			continue
		}
		number, err := strconv.ParseUint(n.text, 10, 20)
		if err != nil {
			return DeviceRule{}, wrong
		}
		*n.to = int64(number)
	}
	return rule, nil
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
