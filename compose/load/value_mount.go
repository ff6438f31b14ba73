package load

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"

	"github.com/mycompose/mycompose/compose/model"
)

func mountChecks(set func(valueCheck, string)) {
	set(checkVolume, "services.*.volumes[]")
	set(oneOf("bind volume tmpfs", "image npipe cluster"), "services.*.volumes[].type")
	set(oneOf("private rprivate shared rshared slave rslave", ""), "services.*.volumes[].bind.propagation")
	set(checkVolumesFrom, "services.*.volumes_from[]")
	set(checkTmpfs, "services.*.tmpfs services.*.tmpfs[]")
	set(checkTarget, "services.*.volumes[].target")
	set(checkObjectTarget, "services.*.configs[].target services.*.secrets[].target")
	set(oneOf("local", "*"), "volumes.*.driver")
	set(anything, "volumes.*.driver_opts.*") // see volumeOptions
}

const volumeForms = "write volume:/path, ./folder:/path or /path, with :ro for read-only"

var windowsDrive = pattern(`^[A-Za-z]:[/\\]`)

// checkVolume checks the short form of volumes.
func checkVolume(text string) (wrong, right string) {
	if windowsDrive().MatchString(text) {
		return fmt.Sprintf("%q begins like a Windows drive", text), "give the volume a name of two letters or more"
	}
	v, err := format.ParseVolume(text)
	if err != nil || v.Target == "" {
		return fmt.Sprintf("%q is no volume", text), volumeForms
	}
	if !path.IsAbs(v.Target) {
		return fmt.Sprintf("the path %s inside the container is not absolute", v.Target), volumeForms
	}
	if wrong, right = checkTarget(v.Target); wrong != "" {
		return wrong, right
	}
	parts := strings.Split(text, ":")
	if len(parts) < 3 {
		return "", ""
	}
	options := []string{"ro", "rw", "z", "Z", "nocopy", "private", "rprivate", "shared", "rshared", "slave", "rslave",
		"cached", "delegated", "consistent"}
	for option := range strings.SplitSeq(parts[len(parts)-1], ",") {
		if !slices.Contains(options, option) {
			return fmt.Sprintf("unknown option %q", option), "use ro, rw, z, Z, nocopy or a propagation such as rslave"
		}
	}
	return "", ""
}

// checkTarget checks the path inside the container at which something is
// mounted. Nothing may hide the root or the container's own /proc.
func checkTarget(text string) (wrong, right string) {
	if wrong, right = checkAbsolute(text); wrong != "" {
		return wrong, right
	}
	switch clean := path.Clean(text); {
	case text == "":
		return "the path inside the container is empty", "begin it with /"
	case clean == "/":
		return fmt.Sprintf("nothing can be mounted at %q, the root of the container", text), "mount at a folder below it"
	case clean == "/proc" || strings.HasPrefix(clean, "/proc/"):
		return fmt.Sprintf("nothing can be mounted at %q, the container's own /proc", text), "mount elsewhere; sysctls: sets kernel parameters"
	}
	return "", ""
}

// checkObjectTarget checks where a config or secret appears; a path that is
// not absolute begins in the folder of its kind.
func checkObjectTarget(text string) (wrong, right string) {
	if path.IsAbs(text) {
		return checkTarget(text)
	}
	if clean := path.Clean(text); clean == "." || clean == ".." || strings.HasPrefix(clean, "../") {
		return fmt.Sprintf("%q is no path of a file", text), "write a name, or an absolute path"
	}
	return "", ""
}

func checkTmpfs(text string) (wrong, right string) {
	m, err := parseTmpfs(text)
	if err != nil {
		return err.Error(), "write /path, or /path:size=64m,mode=1777,uid=1000,gid=1000"
	}
	return checkTarget(m.Target)
}

// parseTmpfs reads path[:options].
func parseTmpfs(text string) (model.Mount, error) {
	target, options, _ := strings.Cut(text, ":")
	m := model.Mount{Type: model.MountTmpfs, Target: path.Clean(target)}
	if !path.IsAbs(target) {
		return m, fmt.Errorf("the path %q is not absolute", target)
	}
	if options == "" {
		return m, nil
	}
	for option := range strings.SplitSeq(options, ",") {
		key, value, _ := strings.Cut(option, "=")
		var err error
		switch key {
		case "ro":
			m.ReadOnly = true
		case "rw":
		case "exec", "noexec", "suid", "nosuid", "dev", "nodev":
			m.Options = append(m.Options, key)
		case "size":
			m.Size, err = parseSize(value)
		case "mode":
			var mode uint64
			mode, err = strconv.ParseUint(value, 8, 12)
			bits := uint32(mode)
			m.Mode = &bits
		case "uid", "gid":
			var id uint64
			id, err = strconv.ParseUint(value, 10, 32)
			if key == "uid" {
				m.UID = uint32(id)
			} else {
				m.GID = uint32(id)
			}
		default:
			return m, fmt.Errorf("unknown option %q", key)
		}
		if err != nil {
			return m, fmt.Errorf("option %s: %q is not valid", key, value)
		}
	}
	return m, nil
}
