package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	rounds = 10
	settle = 3 // further rounds for what is quick
)

// project writes n services that obey SIGTERM.
func (b *bench) project(n int) (string, error) {
	dir := filepath.Join(b.work, fmt.Sprintf("bench%d", n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	var file strings.Builder
	file.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&file, "  s%02d:\n    image: busybox\n    init: true\n    command: sleep 100000\n    environment: {NUMBER: \"%d\"}\n", i, i)
	}
	return dir, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(file.String()), 0o644)
}

func (b *bench) time(r *row, dir string, args ...string) error {
	took, err := b.mycompose(dir, args...)
	r.times = append(r.times, took)
	return err
}

// upAndDown alternates up, down and runc.
func (b *bench) upAndDown(n int, up, down, runc *row) error {
	dir, err := b.project(n)
	if err != nil {
		return err
	}
	for range rounds {
		if err := errors.Join(b.time(up, dir, "up", "-d"), b.time(down, dir, "down"), b.runc(runc)); err != nil {
			return err
		}
	}
	return nil
}

// steady measures what is done with 50 services up.
func (b *bench) steady(noop, ps, exe, version, config, restart, one, runc *row) (string, error) {
	dir, err := b.project(50)
	if err != nil {
		return "", err
	}
	if _, err := b.mycompose(dir, "up", "-d"); err != nil {
		return "", err
	}
	for range rounds * settle {
		stop, start := &row{}, &row{}
		err := errors.Join(
			b.time(noop, dir, "up", "-d"), b.time(ps, dir, "ps"), b.time(exe, dir, "exec", "-T", "s00", "true"),
			b.time(version, dir, "version"), b.time(config, dir, "config", "-q"),
			b.time(stop, dir, "stop", "s01"), b.time(start, dir, "start", "s01"), b.runc(runc))
		if err != nil {
			return "", err
		}
		one.times = append(one.times, max(0, start.times[0]-ps.times[len(ps.times)-1]))
	}
	for range settle {
		if err := b.time(restart, dir, "restart"); err != nil {
			return "", err
		}
	}
	return b.memory()
}

// memory sums the private memory of all our processes, by role.
func (b *bench) memory() (string, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return "", err
	}
	total, count := 0, map[string]int{}
	kib := map[string]int{}
	for _, dir := range dirs {
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !strings.Contains(string(environ), "MYCOMPOSE_STATE_DIR="+b.state) {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		name := filepath.Base(strings.SplitN(string(cmdline), "\x00", 2)[0])
		if !strings.HasPrefix(name, "mycompose") {
			continue
		}
		private := privateKiB(filepath.Join(dir, "smaps_rollup"))
		kib[name] += private
		count[name]++
		total += private
	}
	line := fmt.Sprintf("\nPrivate memory with 50 idle containers: %.1f MB (goal 90 MB):", float64(total)/1024)
	for name, n := range count {
		line += fmt.Sprintf(" %d %s %.1f MB;", n, name, float64(kib[name])/1024)
	}
	return line, nil
}

func privateKiB(path string) int {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	sum := 0
	for line := range strings.Lines(string(raw)) {
		var n int
		if strings.HasPrefix(line, "Private_") {
			if _, err := fmt.Sscanf(strings.SplitN(line, ":", 2)[1], "%d", &n); err == nil {
				sum += n
			}
		}
	}
	return sum
}
