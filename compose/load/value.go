package load

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
	"github.com/docker/go-units"
	"github.com/xhit/go-str2duration/v2"
)

// valueCheck says what is wrong with a value, and what would be right; "" if it
// is fine. It is pure.
type valueCheck func(text string) (wrong, right string)

// pattern is a regular expression that is compiled at its first use: most
// commands use none, most loads a few.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// notYet is the answer for values of the specification that we do not support.
// The caller writes "not supported yet: <path> <value>".
const notYet = "not supported yet"

// valueChecks are the formats that the schema does not know, by pattern.
func valueChecks() map[string]valueCheck {
	checks := map[string]valueCheck{}
	set := func(check valueCheck, patterns string) {
		for p := range strings.FieldsSeq(patterns) {
			checks[p] = check
		}
	}
	set(checkSize, "services.*.shm_size services.*.build.shm_size services.*.volumes[].tmpfs.size")
	set(checkMemory, `services.*.mem_limit services.*.mem_reservation
		services.*.deploy.resources.limits.memory services.*.deploy.resources.reservations.memory`)
	set(orMinusOne(checkSize), "services.*.memswap_limit")
	set(checkDuration, `services.*.stop_grace_period services.*.healthcheck.interval services.*.healthcheck.timeout
		services.*.healthcheck.start_period services.*.healthcheck.start_interval
		services.*.deploy.restart_policy.delay services.*.deploy.restart_policy.window`)
	set(checkCPUs, "services.*.cpus services.*.deploy.resources.limits.cpus")
	set(checkCommandLine, `services.*.command services.*.entrypoint services.*.post_start[].command
		services.*.pre_stop[].command services.*.develop.watch[].exec.command`)
	set(checkCPUSet, "services.*.cpuset")
	set(wholeNumber(0, 1<<31), `services.*.scale services.*.deploy.replicas services.*.healthcheck.retries
		services.*.deploy.restart_policy.max_attempts`)
	set(wholeNumber(0, 262144), "services.*.cpu_shares")
	set(orMinusOne(wholeNumber(0, 1<<31)), "services.*.pids_limit services.*.deploy.resources.limits.pids")
	set(orMinusOne(wholeNumber(0, 1<<62)), `services.*.ulimits.* services.*.ulimits.*.soft services.*.ulimits.*.hard
		services.*.build.ulimits.* services.*.build.ulimits.*.soft services.*.build.ulimits.*.hard`)
	set(checkPlatform, "services.*.platform services.*.build.platforms[]")
	set(checkCache("src"), "services.*.build.cache_from[]")
	set(checkCache("dest"), "services.*.build.cache_to[]")
	set(checkNamedContext, "services.*.build.additional_contexts.*")
	set(checkNamedContextEntry, "services.*.build.additional_contexts[]")
	set(checkImage, "services.*.image services.*.build.tags[]")
	set(checkPullPolicy, "services.*.pull_policy")
	set(checkRestart, "services.*.restart")
	set(oneOf("none on-failure any", ""), "services.*.deploy.restart_policy.condition")
	set(oneOf("replicated global", "replicated-job global-job"), "services.*.deploy.mode")
	set(oneOf("raw", ""), "services.*.env_file[].format")
	set(matching(pattern(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`), "letters, digits, dash, dot and underscore, at least two"),
		"services.*.container_name")
	set(matching(pattern(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?$`), "letters, digits, dash and dot, at most 64"),
		"services.*.hostname")
	set(checkSignal, "services.*.stop_signal")
	set(checkProjectName, "name")
	set(checkAbsolute, "services.*.working_dir")
	set(checkNoName, "services.*.environment[] services.*.build.args[] services.*.labels[]")
	set(checkCapability, "services.*.cap_add[] services.*.cap_drop[]")
	set(oneOf("no-new-privileges no-new-privileges:true no-new-privileges=true no-new-privileges:false no-new-privileges=false "+
		"seccomp=unconfined seccomp:unconfined apparmor=unconfined apparmor:unconfined label=disable label:disable",
		"*"), "services.*.security_opt[]")
	set(oneOf("json-file local none", "*"), "services.*.logging.driver")
	set(orMinusOne(checkSize), "services.*.logging.options.max-size")
	set(wholeNumber(1, 1000), "services.*.logging.options.max-file")
	set(checkGroup, "services.*.group_add[]")
	set(checkUser, "services.*.user")
	set(wholeNumber(0, 1<<32-1), "services.*.configs[].uid services.*.configs[].gid services.*.secrets[].uid services.*.secrets[].gid")
	set(checkMode, "services.*.configs[].mode services.*.secrets[].mode")
	set(checkTmpfsMode, "services.*.volumes[].tmpfs.mode")
	set(checkContext, "services.*.build services.*.build.context")
	set(checkLocal, "include[] include[].path include[].path[] services.*.extends.file")
	hostChecks(set)
	blockChecks(set)
	networkChecks(set)
	mountChecks(set)
	return checks
}

func anything(string) (wrong, right string) { return "", "" }

func checkSize(text string) (wrong, right string) {
	if n, err := parseSize(text); err != nil || n < 0 {
		return fmt.Sprintf("%q is no size", text), "write bytes, or a number with b, k, m or g, such as 512m"
	}
	return "", ""
}

// leastMemory is dockerd's lower bound, below which no container starts.
const leastMemory = 6 << 20

func checkMemory(text string) (wrong, right string) {
	if wrong, right = checkSize(text); wrong != "" {
		return wrong, right
	}
	if n, _ := parseSize(text); n > 0 && n < leastMemory {
		return fmt.Sprintf("%q is less than any container needs", text), "write 6m or more"
	}
	return "", ""
}

// parseSize reads a size as compose does: bytes, or with a unit of 1024.
func parseSize(text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	return units.RAMInBytes(text)
}

// checkCommandLine checks a command that is one text, and is cut into words as a
// shell does it.
func checkCommandLine(text string) (wrong, right string) {
	var command types.ShellCommand
	if err := command.DecodeMapstructure(text); err != nil {
		return fmt.Sprintf("%q cannot be cut into words", text), "close its quotes, or write a list"
	}
	return "", ""
}

func checkDuration(text string) (wrong, right string) {
	if d, err := str2duration.ParseDuration(text); err != nil || d < 0 {
		return fmt.Sprintf("%q is no duration", text), "write a number with us, ms, s, m or h, such as 1m30s"
	}
	return "", ""
}

func checkCPUs(text string) (wrong, right string) {
	if n, err := strconv.ParseFloat(text, 64); err != nil || !(n >= 0 && n <= 1<<20) {
		return fmt.Sprintf("%q is no number of processors", text), "write a number such as 0.5 or 2"
	} else if n > 0 && n < 0.01 {
		return fmt.Sprintf("%q is less than the kernel can measure out", text), "write 0.01 or more"
	}
	return "", ""
}

var cpuList = pattern(`^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$`)

func checkCPUSet(text string) (wrong, right string) {
	const hint = "write numbers and ranges, such as 0-3,5"
	if text == "" { // as if the key were not there
		return "", ""
	}
	if !cpuList().MatchString(text) {
		return fmt.Sprintf("%q is no list of processors", text), hint
	}
	for part := range strings.SplitSeq(text, ",") {
		if low, high, ok := strings.Cut(part, "-"); ok && number(low) > number(high) {
			return fmt.Sprintf("the range %s runs backwards", part), "write " + high + "-" + low
		}
	}
	return "", ""
}

// number reads digits that a pattern has matched.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func wholeNumber(low, high int64) valueCheck {
	return func(text string) (wrong, right string) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < low || n > high {
			if high >= 1<<31 {
				return fmt.Sprintf("%s is no valid number", strconv.Quote(text)), fmt.Sprintf("write a whole number from %d on", low)
			}
			return fmt.Sprintf("%s is no valid number", strconv.Quote(text)), fmt.Sprintf("write a whole number from %d to %d", low, high)
		}
		return "", ""
	}
}

func orMinusOne(check valueCheck) valueCheck {
	return func(text string) (wrong, right string) {
		if text == "-1" {
			return "", ""
		}
		if wrong, right = check(text); right != "" {
			right += ", or -1 for unlimited"
		}
		return wrong, right
	}
}

func matching(expr func() *regexp.Regexp, allowed string) valueCheck {
	return func(text string) (wrong, right string) {
		if !expr().MatchString(text) {
			return fmt.Sprintf("%q is no valid name", text), "use " + allowed
		}
		return "", ""
	}
}

// oneOf allows words; later are words (or prefixes with *) that compose knows
// and we do not support.
func oneOf(words, later string) valueCheck {
	allowed, known := strings.Fields(words), strings.Fields(later)
	return func(text string) (wrong, right string) {
		if slices.Contains(allowed, text) {
			return "", ""
		}
		hint := "use " + strings.Join(allowed, ", ")
		near := nearest(text, slices.Values(allowed))
		for _, k := range known {
			prefix, open := strings.CutSuffix(k, "*")
			if k == text || open && strings.HasPrefix(text, prefix) && (prefix != "" || near == "") {
				return notYet, hint
			}
		}
		if near != "" {
			hint = "did you mean `" + near + "`?"
		}
		return fmt.Sprintf("%q is not known", text), hint
	}
}

func checkPullPolicy(text string) (wrong, right string) {
	if every, ok := strings.CutPrefix(text, "every_"); ok {
		return checkDuration(every)
	}
	return oneOf("always never missing if_not_present build daily weekly every_12h", "refresh")(text)
}

func checkRestart(text string) (wrong, right string) {
	policy, count, counted := strings.Cut(text, ":")
	if counted {
		if n, err := strconv.Atoi(count); policy != "on-failure" || err != nil || n < 0 {
			return fmt.Sprintf("%q is no restart policy", text), "write on-failure:3"
		}
		return "", ""
	}
	return oneOf("no always on-failure unless-stopped", "")(text)
}

func checkImage(text string) (wrong, right string) {
	if _, err := reference.ParseNormalizedNamed(text); err != nil {
		return fmt.Sprintf("%q is no image name", text), "write name:tag in lower case, such as redis:7-alpine"
	}
	return "", ""
}

func checkAbsolute(text string) (wrong, right string) {
	if text != "" && !path.IsAbs(text) {
		return fmt.Sprintf("%q is no absolute path", text), "begin it with /"
	}
	return "", ""
}

// checkProjectName finds the name of which nothing is left when it is made fit.
func checkProjectName(text string) (wrong, right string) {
	if text != "" && loader.NormalizeProjectName(text) == "" {
		return fmt.Sprintf("%q is no project name", text), "use lower case letters, digits, dash and underscore, with a letter or digit first"
	}
	return "", ""
}

// checkNoName finds the entry of a list of NAME=value that has no name.
func checkNoName(text string) (wrong, right string) {
	if name, _, given := strings.Cut(text, "="); given && name == "" {
		return fmt.Sprintf("%q has no name", text), "write NAME=value"
	}
	return "", ""
}

func checkMode(text string) (wrong, right string) {
	if _, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 12); err != nil {
		return fmt.Sprintf("%q is no file mode", text), "write it in octal, such as 0440"
	}
	return "", ""
}

// checkTmpfsMode allows the decimal form too, in which docker compose prints it.
func checkTmpfsMode(text string) (wrong, right string) {
	if n, err := strconv.ParseUint(text, 10, 12); err == nil && n <= 0o7777 {
		return "", ""
	}
	return checkMode(text)
}

func checkContext(text string) (wrong, right string) {
	if strings.Contains(text, "://") || strings.HasPrefix(text, "git@") || strings.HasPrefix(text, "github.com/") {
		return notYet, "give a folder"
	}
	return "", ""
}

func checkLocal(text string) (wrong, right string) {
	if strings.Contains(text, "://") || strings.HasPrefix(text, "git@") {
		return notYet, "give a file"
	}
	return "", ""
}
