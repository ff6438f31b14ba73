package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxSize is what the small program may weigh, bytes: 3 MiB.
const maxSize = 3 << 20

func TestItLinksNothingHeavy(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	for _, heavy := range []string{"net", "log", "log/slog", "os/exec", "crypto/sha256", "regexp", "testing"} {
		if slices.Contains(packages, heavy) {
			t.Errorf("it links %s", heavy)
		}
	}
	if !slices.Contains(packages, "github.com/mycompose/mycompose/engine/wire") {
		t.Error("go list does not list what it links")
	}
}

func TestItIsSmallAndRefusesToBeStartedByHand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "small")
	build := exec.Command("go", "build", "-trimpath", "-gcflags=fmt=-l", "-gcflags=time=-l",
		"-gcflags=github.com/mycompose/mycompose/network/proxy=-l", "-ldflags=-s -w", "-o", path, ".") // as the Makefile does
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %s", out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxSize {
		t.Errorf("it weighs %d bytes, %d are allowed", info.Size(), maxSize)
	}
	for _, role := range []string{"small", "mycompose-keeper", "mycompose-monitor", "mycompose-proxy"} {
		command := &exec.Cmd{Path: path, Args: []string{role}}
		out, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "mycompose") {
			t.Errorf("%s by hand: %v, %q", role, err, out)
		}
	}
}
