package load

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// hostNamespace is the word for a namespace that is the host's.
const hostNamespace = "host"

// hostChecks are those of what a service has in common with the host.
func hostChecks(set func(valueCheck, string)) {
	set(orOther(oneOf("host service:<name> container:<name>", "")), "services.*.pid")
	set(oneOf("private shareable host", "none service:* container:*"), "services.*.ipc")
	set(oneOf(hostNamespace, ""), "services.*.uts")
	set(oneOf("private", hostNamespace), "services.*.cgroup")
	set(oneOf(hostNamespace, "*"), "services.*.userns_mode")
	set(oneOf("runc", "*"), "services.*.runtime")
	set(checkDevice, "services.*.devices[]")
	set(checkDevicePath, "services.*.devices[].source")
	set(checkDeviceTarget, "services.*.devices[].target")
	set(checkDeviceRights, "services.*.devices[].permissions")
	set(checkDeviceRule, "services.*.device_cgroup_rules[]")
	set(wholeNumber(-1000, 1000), "services.*.oom_score_adj")
	set(orMinusOne(checkQuota), "services.*.cpu_quota")
	set(checkPeriod, "services.*.cpu_period")
	set(matching(pattern(`^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?$`), "letters, digits, dash and dot, at most 64"),
		"services.*.domainname")
}

const deviceForms = "write /dev/HOST, /dev/HOST:/dev/CONTAINER or /dev/HOST:/dev/CONTAINER:rwm"

// checkDevice checks the short form.
func checkDevice(text string) (wrong, right string) {
	if kind, name, ok := strings.Cut(text, "="); ok && strings.Contains(kind, "/") && !path.IsAbs(kind) && name != "" {
		return notYet, deviceForms // CDI: vendor.com/class=name
	}
	parts := strings.Split(text, ":")
	checks := []valueCheck{checkDevicePath, checkDeviceTarget, checkDeviceRights}
	if len(parts) > len(checks) {
		return fmt.Sprintf("%q is no device", text), deviceForms
	}
	for i, part := range parts {
		if wrong, _ := checks[i](part); wrong != "" {
			return wrong, deviceForms
		}
	}
	if len(parts) == 1 {
		return checkDeviceTarget(text)
	}
	return "", ""
}

func checkDevicePath(text string) (wrong, right string) {
	if !path.IsAbs(text) {
		return fmt.Sprintf("%q is no path of a device", text), "begin it with /dev/"
	}
	return "", ""
}

func checkDeviceTarget(text string) (wrong, right string) {
	if !strings.HasPrefix(path.Clean(text), "/dev/") {
		return fmt.Sprintf("%q does not lie below /dev in the container", text), "begin it with /dev/"
	}
	return "", ""
}

func checkDeviceRights(text string) (wrong, right string) {
	if text == "" || strings.Trim(text, "rwm") != "" {
		return fmt.Sprintf("%q are no rights to a device", text), "write some of r, w and m: read, write, make the node"
	}
	return "", ""
}

func checkDeviceRule(text string) (wrong, right string) {
	if _, err := spec.ParseDeviceRule(text); err != nil {
		return fmt.Sprintf("%q is no rule for devices", text), "write TYPE MAJOR:MINOR RIGHTS, such as c 189:* rwm"
	}
	return "", ""
}

// The bounds of a processor quota and its period, kernel/sched/core.c.
const (
	leastQuota  = 1000    // microseconds
	leastPeriod = 1000    // microseconds
	mostPeriod  = 1000000 // microseconds
)

func checkQuota(text string) (wrong, right string) {
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n != 0 && n < leastQuota {
		return fmt.Sprintf("%q is no processor quota", text), fmt.Sprintf("write microseconds from %d on", leastQuota)
	}
	return "", ""
}

func checkPeriod(text string) (wrong, right string) {
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n != 0 && (n < leastPeriod || n > mostPeriod) {
		return fmt.Sprintf("%q is no period of a processor quota", text), fmt.Sprintf("write microseconds from %d to %d", leastPeriod, mostPeriod)
	}
	return "", ""
}

func devices(list []types.DeviceMapping) []model.Device {
	var out []model.Device
	for _, d := range list {
		device := model.Device{Source: d.Source, Target: d.Target, Permissions: d.Permissions}
		if device.Target == "" {
			device.Target = d.Source
		}
		if device.Permissions == "" {
			device.Permissions = "rwm"
		}
		out = append(out, device)
	}
	return out
}

// oomScore is nil for zero, which is what the engine gives anyway.
func oomScore(score int64) *int {
	if score == 0 {
		return nil
	}
	n := int(score)
	return &n
}

// sharesHost checks what a service sets in a namespace that is the host's.
func (l *projectLoader) sharesHost(s types.ServiceConfig) {
	path := "services." + s.Name
	if s.Uts == hostNamespace {
		for _, given := range []struct{ key, text string }{{"hostname", s.Hostname}, {"domainname", s.DomainName}} {
			if given.text != "" {
				l.mistake(path+"."+given.key, fmt.Sprintf("service %s has uts: host and %s", s.Name, given.key), "keep one of them: it has the host's name")
			}
		}
	}
	if s.Ipc == hostNamespace && s.ShmSize != 0 {
		l.mistake(path+".shm_size", fmt.Sprintf("service %s has ipc: host and shm_size", s.Name), "keep one of them: it has the host's /dev/shm")
	}
	for _, name := range sortedKeys(s.Sysctls) {
		l.sysctl(s, path+".sysctls", name)
	}
	if s.CPUS != 0 && (s.CPUQuota != 0 || s.CPUPeriod != 0) {
		l.mistake(path+".cpus", fmt.Sprintf("service %s has cpus, and cpu_quota or cpu_period", s.Name), "keep cpus: it sets both")
	}
}

// sysctl checks one kernel parameter.
func (l *projectLoader) sysctl(s types.ServiceConfig, path, name string) {
	at := l.index.sysctl(path, name)
	kind := spec.SysctlNamespace(name)
	switch {
	case kind == "":
		l.mistakeAt(at, path, fmt.Sprintf("sysctl %s of service %s is a setting of the whole host", name, s.Name), "a container's own are "+spec.OwnSysctls)
	case kind == "net" && s.NetworkMode == hostNamespace:
		l.mistakeAt(at, path, fmt.Sprintf("service %s sets %s in the host's network", s.Name, name), "take it away, or set it on the host")
	case kind == "ipc" && s.Ipc == hostNamespace:
		l.mistakeAt(at, path, fmt.Sprintf("service %s sets %s, and has ipc: host", s.Name, name), "take it away, or set it on the host")
	case kind == "uts" && s.Uts == hostNamespace:
		l.mistakeAt(at, path, fmt.Sprintf("service %s sets %s, and has uts: host", s.Name, name), "take it away, or set it on the host")
	case strings.TrimSpace(s.Sysctls[name]) == "":
		l.mistakeAt(at, path, fmt.Sprintf("sysctl %s of service %s has no value", name, s.Name), "write "+name+"=VALUE")
	}
}

// CheckSysctls holds sysctls: against this host. current reads the host's own
// value of one, an error if there is none. `config` does not ask here, as
// another host may be meant.
func (r *Result) CheckSysctls(current func(name string) (string, error)) error {
	var found problems
	for _, service := range r.Services() {
		path := "services." + service + ".sysctls"
		sysctls := r.Project.Services[service].Sysctls
		for _, name := range sortedKeys(sysctls) {
			now, err := current(name)
			switch at := r.Positions.sysctl(path, name); {
			case err != nil:
				found.add(at, path, fmt.Sprintf("service %s sets sysctl %s, which this kernel does not have", service, name), "look for its name below /proc/sys")
			case numeric(now) && !numeric(sysctls[name]):
				found.add(at, path, fmt.Sprintf("sysctl %s of service %s is %q, and must be a number", name, service, sysctls[name]), "here it is "+strings.Join(strings.Fields(now), " "))
			}
		}
	}
	return found.err()
}

// numeric reports whether a text is numbers with space between.
func numeric(text string) bool {
	fields := strings.Fields(text)
	for _, f := range fields {
		if _, err := strconv.ParseInt(f, 10, 64); err != nil {
			return false
		}
	}
	return len(fields) > 0
}

// sysctl is the place of one in a mapping, or in a list of NAME=VALUE.
func (p Positions) sysctl(path, name string) Position {
	if found, ok := p.find(path+"."+name, 0); ok {
		return found
	}
	return p.item(path, func(text string) bool { return strings.HasPrefix(text, name+"=") })
}
