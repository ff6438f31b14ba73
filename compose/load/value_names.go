package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// signalNames are the signals of Linux, see signal(7).
const signalNames = `HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP
TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS`

func checkSignal(text string) (wrong, right string) {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= 64 {
		return "", ""
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	names := strings.Fields(signalNames)
	if slices.Contains(names, name) || strings.HasPrefix(name, "RTMIN") || strings.HasPrefix(name, "RTMAX") {
		return "", ""
	}
	hint := "write a name such as SIGTERM or a number from 1 to 64"
	if near := nearest(name, slices.Values(names)); near != "" {
		hint = "did you mean `SIG" + near + "`?"
	}
	return fmt.Sprintf("%q is no signal", text), hint
}

var objectName = pattern(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// checkName checks the name that the host knows a network or volume by.
func checkName(text string) (wrong, right string) {
	if text != "" && (!objectName().MatchString(text) || len(text) > 200) {
		return fmt.Sprintf("%q is no valid name", text), "use letters, digits, dash, dot and underscore, with a letter or digit first"
	}
	return "", ""
}

// capabilityNames are those of Linux 6.1, see capabilities(7).
const capabilityNames = `ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN
NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT
SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM`

func checkCapability(text string) (wrong, right string) {
	name := strings.TrimPrefix(strings.ToUpper(text), "CAP_")
	names := strings.Fields(capabilityNames)
	if slices.Contains(names, name) {
		return "", ""
	}
	hint := "write a name of capabilities(7), such as NET_ADMIN"
	if near := nearest(name, slices.Values(names)); near != "" {
		hint = "did you mean `" + near + "`?"
	}
	return fmt.Sprintf("%q is no capability", text), hint
}

// ulimitNames are the limits of setrlimit(2).
const ulimitNames = `as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack`

// keyProblem checks keys that the user chooses out of a fixed set: log options,
// limits and kernel parameters.
func keyProblem(key string, at spot) (message, hint string) {
	switch at.pattern {
	case logOption:
		if key != "max-size" && key != "max-file" {
			return "not supported yet: " + at.path, "the options are max-size and max-file"
		}
	case "services.*.ulimits.*":
		names := strings.Fields(ulimitNames)
		if !slices.Contains(names, key) {
			hint := "use " + strings.Join(names, ", ")
			if near := nearest(key, slices.Values(names)); near != "" {
				hint = "did you mean `" + near + "`?"
			}
			return "unknown limit " + at.path, hint
		}
	case "services.*.sysctls.*":
		if spec.SysctlNamespace(key) == "" {
			return at.path + " is a setting of the whole host", "a container's own are " + spec.OwnSysctls
		}
	}
	return "", ""
}

// maxID is the largest user or group id that dockerd takes.
const maxID = 1<<31 - 1

// checkUser checks what can be told without the image: names are looked up in
// its passwd and group.
func checkUser(text string) (wrong, right string) {
	user, group, _ := strings.Cut(text, ":")
	if strings.Contains(group, ":") {
		return fmt.Sprintf("%q is no user", text), "write USER or USER:GROUP, each a name or a number"
	}
	for _, part := range []string{user, group} {
		if wrong, right := checkGroup(part); wrong != "" {
			return wrong, right
		}
	}
	return "", ""
}

// checkGroup checks a name or number of a user or group.
func checkGroup(text string) (wrong, right string) {
	if strings.Trim(strings.TrimPrefix(text, "-"), "0123456789") != "" || text == "" || text == "-" {
		return "", "" // a name
	}
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n < 0 || n > maxID {
		return fmt.Sprintf("%s is no user or group id", text), fmt.Sprintf("write a number from 0 to %d, or a name", maxID)
	}
	return "", ""
}
