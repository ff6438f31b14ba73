package spec

import (
	"fmt"
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

// VolumeOptions is what the options of a volume say: without any it is a folder
// of the engine's own.
type VolumeOptions struct {
	// Device is the folder of the host that the volume shows.
	Device   string
	ReadOnly bool
}

// ParseVolumeOptions reads type, o and device as dockerd's driver local has
// them. Only binds are known: type none (or none given) and o bind. All mistakes
// are returned, sorted by option; Unknown ones are of file systems to mount.
func ParseVolumeOptions(options map[string]string) (VolumeOptions, []OptionError) {
	var out VolumeOptions
	if kind := options["type"]; !slices.Contains([]string{"", "none", "bind"}, kind) {
		return VolumeOptions{}, []OptionError{{Option: "type", Unknown: true, Wrong: "file systems of type " + kind,
			Right: "use type: none and o: bind with a folder"}}
	}
	var wrong []OptionError
	bind := false
	add := func(option string, unknown bool, text, right string) {
		wrong = append(wrong, OptionError{Option: option, Unknown: unknown, Wrong: text, Right: right})
	}
	for _, name := range sortedNames(options) {
		value := options[name]
		switch name {
		case "device":
			if out.Device = value; !strings.HasPrefix(value, "/") {
				add(name, false, fmt.Sprintf("%q is no absolute path", value), "name a folder of this host")
			}
		case "type":
		case "o":
			for word := range strings.SplitSeq(value, ",") {
				switch word {
				case "bind", "rbind":
					bind = true
				case "ro":
					out.ReadOnly = true
				case "rw", "":
				default:
					add(name, true, "mount option "+word, "use bind, with ro for read-only")
				}
			}
		default:
			add(name, true, "option "+name, "use type, o and device")
		}
	}
	switch {
	case len(wrong) > 0 || len(options) == 0:
	case out.Device == "":
		add("device", false, "there is no device", "name a folder of this host")
	case !bind:
		add("o", false, "it does not say bind", "write o: bind")
	}
	return out, wrong
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
