package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/engine/spec"
)

// timeout is --timeout in seconds; nil if it was not given.
func timeout(cmd *cobra.Command, seconds int) (*time.Duration, error) {
	if !cmd.Flags().Changed("timeout") {
		return nil, nil
	}
	if seconds < 0 {
		return nil, fmt.Errorf("invalid value for --timeout: %d is negative", seconds)
	}
	d := time.Duration(seconds) * time.Second
	return &d, nil
}

// scaleForm is what a value of --scale looks like.
const scaleForm = "write SERVICE=NUMBER, for example web=3"

// parseScale reads the values of --scale: SERVICE=NUMBER.
func parseScale(values []string) (map[string]int, error) {
	out := map[string]int{}
	for _, v := range values {
		name, number, found := strings.Cut(v, "=")
		if !found || name == "" {
			return nil, &unknownValue{"invalid scale specifier: " + v, scaleForm}
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 {
			return nil, &unknownValue{"invalid scale specifier: can't parse replica value as int: " + v, scaleForm}
		}
		out[name] = n
	}
	return out, nil
}

// parseTime reads a point in time: a duration before now, Unix seconds, or a
// date with as much of a time as is given, RFC 3339.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	if seconds, fraction, _ := strings.Cut(text, "."); len(seconds) > 4 {
		n, err := strconv.ParseInt(seconds, 10, 64)
		nanos, fractionErr := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		if err == nil && fractionErr == nil {
			return time.Unix(n, nanos), nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &unknownValue{
		fmt.Sprintf("invalid value for %q: failed to parse value as time or duration: %q", flag, text),
		"write 10m, 2026-11-21, 2026-11-21T08:00:00Z or seconds since 1970",
	}
}

// parseEnvironment reads values of -e: K=V, or K to take it from ours.
func (s *session) parseEnvironment(values []string) map[string]string {
	out := map[string]string{}
	for _, v := range values {
		name, value, found := strings.Cut(v, "=")
		if !found {
			inherited, set := s.env[name]
			if !set {
				continue
			}
			value = inherited
		}
		out[name] = value
	}
	return out
}

// parsePublish reads a value of --publish: [[IP:]HOST:]CONTAINER[/PROTOCOL].
func parsePublish(text string) (spec.Port, error) {
	wrong := fmt.Errorf("invalid value for --publish: %q is not [[IP:]HOST:]CONTAINER[/PROTOCOL]", text)
	rest, protocol, found := strings.Cut(text, "/")
	if !found {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" {
		return spec.Port{}, wrong
	}
	p := spec.Port{Protocol: protocol}
	at := strings.LastIndex(rest, ":")
	target, err := strconv.ParseUint(rest[at+1:], 10, 16)
	if err != nil || target == 0 {
		return spec.Port{}, wrong
	}
	p.ContainerPort = uint16(target)
	if at < 0 {
		return p, nil
	}
	host := rest[:at]
	if at = strings.LastIndex(host, ":"); at >= 0 {
		p.HostIP = strings.Trim(host[:at], "[]")
		host = host[at+1:]
	}
	if host != "" {
		n, err := strconv.ParseUint(host, 10, 16)
		if err != nil {
			return spec.Port{}, wrong
		}
		p.HostPort = uint16(n)
	}
	return p, nil
}

// mountOptions reads the options of a mount, such as ro,z, and reports whether
// they are some. What is SELinux's (z, Z) or another system's (cached, delegated,
// consistent) has no effect here, as in a compose file.
func mountOptions(text string, m *spec.Mount) bool {
	out := *m
	for word := range strings.SplitSeq(text, ",") {
		switch word {
		case "ro":
			out.ReadOnly = true
		case "nocopy":
			out.NoCopy = true
		case "private", "rprivate", "shared", "rshared", "slave", "rslave":
			out.Propagation = word
		case "rw", "z", "Z", "cached", "delegated", "consistent":
		default:
			return false
		}
	}
	*m = out
	return true
}

// parseMount reads a value of run --volume: SOURCE:TARGET[:OPTIONS] or TARGET.
// Relative sources start from dir, ~ is home.
func parseMount(text, dir, home string) (spec.Mount, error) {
	parts := strings.Split(text, ":")
	wrong := fmt.Errorf("invalid value for --volume: %q is not [SOURCE:]TARGET[:ro]", text)
	m := spec.Mount{Type: spec.MountVolume}
	if n := len(parts); n > 1 && mountOptions(parts[n-1], &m) {
		parts = parts[:n-1]
	}
	switch len(parts) {
	case 1:
		m.Target = parts[0]
	case 2:
		m.Source, m.Target = parts[0], parts[1]
	default:
		return m, wrong
	}
	if !strings.HasPrefix(m.Target, "/") || (len(parts) == 2 && m.Source == "") {
		return m, wrong
	}
	if strings.HasPrefix(m.Source, "/") || strings.HasPrefix(m.Source, ".") || strings.HasPrefix(m.Source, "~") {
		m.Type, m.CreateHostPath = spec.MountBind, true
		if rest, ok := strings.CutPrefix(m.Source, "~"); ok && (rest == "" || rest[0] == '/') {
			m.Source = home + rest
		}
		m.Source = absolute(dir, m.Source)
	}
	return m, nil
}

// parseSSH reads values of build --ssh: default, ID or ID=PATH; without a path
// it is the user's agent.
func (s *session) parseSSH(values []string) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range values {
		id, path, given := strings.Cut(v, "=")
		if id == "" || given && path == "" {
			return nil, &unknownValue{fmt.Sprintf("invalid value for --ssh: %q", v), "write default, or ID=PATH of an agent's socket or a key"}
		}
		if path = orElse(path, s.env["SSH_AUTH_SOCK"]); path == "" {
			return nil, fmt.Errorf("invalid value for --ssh: %q: there is no agent: SSH_AUTH_SOCK is not set", v)
		}
		out[id] = absolute(s.process.Dir, path)
	}
	return out, nil
}
