package container

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// DefaultPath is PATH where neither image nor blueprint sets it (as dockerd's).
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Process is what a container executes, before names are looked up in its
// root file system.
type Process struct {
	Args []string
	// Env is sorted by no rule but stable: defaults, the image's, the
	// blueprint's (sorted). HOME is added once the user is known.
	Env        []string
	Cwd        string
	User       string
	Hostname   string
	StopSignal int
}

// Resolve joins the blueprint with the image's configuration: an entrypoint in
// the blueprint drops the image's command (Compose specification); an empty
// non-nil list clears what the image says.
func Resolve(b spec.Blueprint, image spec.ImageConfig) (Process, error) {
	p := Process{User: b.User, Hostname: Hostname(b)}
	if p.User == "" {
		p.User = image.User
	}
	p.Args = image.Arguments(b)
	if len(p.Args) == 0 {
		return p, spec.Errorf(spec.ErrInvalid, "no command is given, and image %s has none", b.Image)
	}
	if p.Args[0] == "" {
		return p, spec.Errorf(spec.ErrInvalid, "the command of %s begins with an empty word", b.Name)
	}
	var err error
	if p.Cwd, err = workingDir(b.WorkingDir, image.WorkingDir); err != nil {
		return p, err
	}
	signal := b.StopSignal
	if signal == "" {
		signal = image.StopSignal
	}
	if p.StopSignal, err = Signal(signal); err != nil {
		return p, err
	}
	p.Env = environment(b, image, p.Hostname)
	return p, nil
}

// Hostname is the blueprint's, or the first 12 digits of the id; the host's own
// where the container has its UTS namespace, or its network and no name, as with
// dockerd.
func Hostname(b spec.Blueprint) string {
	if b.HostUTS || b.NetworkMode == "host" && b.Hostname == "" {
		name, _ := os.Hostname()
		return name
	}
	if b.Hostname != "" {
		return b.Hostname
	}
	return b.ID[:min(12, len(b.ID))]
}

func workingDir(own, image string) (string, error) {
	if own != "" {
		if !path.IsAbs(own) {
			return "", spec.Errorf(spec.ErrInvalid, "cannot use working directory %q: it must be an absolute path", own)
		}
		return path.Clean(own), nil
	}
	return path.Clean("/" + image), nil
}

func environment(b spec.Blueprint, image spec.ImageConfig, hostname string) []string {
	base := []string{"PATH=" + DefaultPath, "HOSTNAME=" + hostname}
	if b.Terminal {
		base = append(base, "TERM=xterm")
	}
	own := make([]string, 0, len(b.Environment))
	for _, key := range slices.Sorted(maps.Keys(b.Environment)) {
		own = append(own, key+"="+b.Environment[key])
	}
	var kept []string
	for _, entry := range image.Env {
		if !slices.Contains(b.Unset, envKey(entry)) {
			kept = append(kept, entry)
		}
	}
	return overlayEnv(overlayEnv(base, kept), own)
}

// overlayEnv puts the entries of over onto base; equal names are replaced in
// place.
func overlayEnv(base, over []string) []string {
	out := slices.Clone(base)
	index := make(map[string]int, len(base)+len(over))
	for i, entry := range out {
		index[envKey(entry)] = i
	}
	for _, entry := range over {
		key := envKey(entry)
		if i, ok := index[key]; ok {
			out[i] = entry
			continue
		}
		index[key] = len(out)
		out = append(out, entry)
	}
	return out
}

func envKey(entry string) string {
	key, _, _ := strings.Cut(entry, "=")
	return key
}

// withDefault adds key=value unless env has the key.
func withDefault(env []string, key, value string) []string {
	for _, entry := range env {
		if envKey(entry) == key {
			return env
		}
	}
	return append(env, key+"="+value)
}

// checkEnv refuses what execve(2) would cut off.
func checkEnv(env []string) error {
	for _, entry := range env {
		if strings.ContainsRune(entry, 0) || envKey(entry) == "" {
			return spec.Errorf(spec.ErrInvalid, "cannot use variable %q: bad name or NUL byte", envKey(entry))
		}
	}
	return nil
}

// HealthCommand is the argument list of a probe: CMD, or CMD-SHELL by /bin/sh.
func HealthCommand(test []string) ([]string, error) {
	if len(test) >= 2 {
		switch test[0] {
		case "CMD":
			return test[1:], nil
		case "CMD-SHELL":
			return []string{"/bin/sh", "-c", test[1]}, nil
		}
	}
	return nil, fmt.Errorf("cannot use health test %q: want [CMD, …] or [CMD-SHELL, …]: %w", test, spec.ErrInvalid)
}
