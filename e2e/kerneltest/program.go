package kerneltest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Build puts a program of ours into the file out. source is its package below
// the module ("cmd/small"); version, unless empty, is linked in as
// main.version. Where there is no Go (make test-vm), the folder that
// MYCOMPOSE_TEST_PROGRAMS names holds what was built before: the package with
// dashes for slashes and, if there is one, "@" and the version.
func Build(out, source, version string) error {
	if folder := os.Getenv("MYCOMPOSE_TEST_PROGRAMS"); folder != "" {
		return takePrebuilt(out, filepath.Join(folder, prebuiltName(source, version)))
	}
	flags := "-s -w"
	if version != "" {
		flags += " -X main.version=" + version
	}
	command := exec.Command("go", "build", "-trimpath", "-ldflags="+flags, "-o", out, "github.com/mycompose/mycompose/"+source)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w: %s", source, err, text)
	}
	return nil
}

// BuildProgram is Build with the program's content as its result.
func BuildProgram(source string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "mycompose-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "program")
	if err := Build(path, source, ""); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func prebuiltName(source, version string) string {
	name := strings.ReplaceAll(source, "/", "-")
	if version != "" {
		name += "@" + version
	}
	return name
}

func takePrebuilt(out, from string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("cannot take the program built before: %w", err)
	}
	return os.WriteFile(out, program, 0o755)
}

// WithoutOurs leaves an environment's variables of mycompose and compose out, as
// a user has none of them.
func WithoutOurs(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		return strings.HasPrefix(entry, "MYCOMPOSE_") || strings.HasPrefix(entry, "COMPOSE_")
	})
}
