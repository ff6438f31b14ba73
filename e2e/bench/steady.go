package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mycompose/mycompose/e2e/resident"
)

// steady measures what is done while 50 services stand, and their memory.
func (b *bench) steady(rows map[string]*row) error {
	dir, err := b.project("plain50", plain(50))
	if err != nil {
		return err
	}
	b.memory(rows["memory-idle"])
	for _, t := range b.both() {
		if _, err := t.run(dir, "up", "-d"); err != nil {
			return err
		}
	}
	b.memory(rows["memory-50"])
	for range b.rounds(15) {
		for _, t := range b.both() {
			if err := timed(rows["ps"], t, dir, "ps"); err != nil {
				return err
			}
			if err := timed(rows["exec"], t, dir, "exec", "-T", "s00", "true"); err != nil {
				return err
			}
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	if r := rows["restart"]; r != nil {
		for range b.rounds(3) {
			for _, t := range b.both() {
				if err := timed(r, t, dir, "restart"); err != nil {
					return err
				}
			}
		}
	}
	return b.downAll(dir)
}

// memory is what the resident processes hold at rest: our builder, which
// leaves after half a minute without work, is waited for, and then a moment.
func (b *bench) memory(r *row) {
	if r == nil {
		return
	}
	for end := time.Now().Add(time.Minute); b.builderRuns() && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(rest)
	kib := 0
	for _, p := range resident.Of(b.state) {
		kib += resident.PrivateKiB(p.PID)
	}
	r.putValue("mycompose", float64(kib)/1024)
	if b.dockerd != nil {
		r.putValue("dockerd", b.dockerd.memory())
	}
}

func (b *bench) builderRuns() bool {
	return slices.ContainsFunc(resident.Of(b.state), func(p resident.Process) bool { return p.Role == "mycompose-builder" })
}

// rest is how long after the last command memory is looked at.
const rest = 3 * time.Second

// commands measures those that ask no daemon.
func (b *bench) commands(rows map[string]*row) error {
	dir, err := b.project("plain50", plain(50))
	if err != nil {
		return err
	}
	for range b.rounds(20) {
		for _, t := range b.both() {
			if err := timed(rows["version"], t, dir, "version"); err != nil {
				return err
			}
			if err := timed(rows["config"], t, dir, "config"); err != nil {
				return err
			}
		}
		if err := b.floorOfLoad(rows["config"], dir); err != nil {
			return err
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	return nil
}

// health measures from the moment at which an app is ready, one second after
// its start, to the end of an `up --wait` that waits for nothing else. A peer
// whose first probe comes after the interval of 30 s is asked once, and not in
// a quick run.
func (b *bench) health(rows map[string]*row) error {
	dir, err := b.project("health", `services:
  app:
    image: busybox
    init: true
    command: ["sh", "-c", "rm -f /shared/ready; sleep 1; touch /shared/ready; sleep 100000"]
    volumes: ["./shared:/shared"]
    healthcheck: {test: ["CMD", "test", "-f", "/shared/ready"]}
`)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "shared"), 0o755); err != nil {
		return err
	}
	one := func(t *tool) error {
		if _, err := t.run(dir, "up", "-d", "--wait"); err != nil {
			return err
		}
		healthy := time.Now()
		ready, err := os.Stat(filepath.Join(dir, "shared", "ready"))
		if err != nil {
			return fmt.Errorf("healthy without being ready: %w", err)
		}
		rows["healthy"].put(t, healthy.Sub(ready.ModTime()))
		_, err = t.run(dir, "down", "-t", "1")
		return err
	}
	for range b.rounds(5) {
		if err := one(b.ours); err != nil {
			return err
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	if b.compose == nil || b.quick {
		return nil
	}
	return one(b.compose)
}

// logs measures a log storm until it is stored, and reading a log.
func (b *bench) logs(rows map[string]*row) error {
	const file = `services:
  seq:
    image: busybox
    command: ["seq", "%d"]
`
	storm, err := b.project("storm", fmt.Sprintf(file, 2_000_000))
	if err != nil {
		return err
	}
	for range b.rounds(5) {
		for _, t := range b.both() {
			if err := b.storm(rows["seq"], t, storm); err != nil {
				return err
			}
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	dir, err := b.project("written", fmt.Sprintf(file, 200_000))
	if err != nil {
		return err
	}
	for _, t := range b.both() {
		if err := b.storm(nil, t, dir, "keep"); err != nil {
			return err
		}
	}
	for range b.rounds(9) {
		for _, t := range b.both() {
			took, err := t.into(dir, "logs")
			if err != nil {
				return err
			}
			rows["readback"].put(t, took)
		}
	}
	return b.downAll(dir)
}

// storm runs a project until its only container has exited and its output is
// stored. mycompose waits for that itself (an exit is told after the last line
// was written); for Docker `docker wait` does.
func (b *bench) storm(r *row, t *tool, dir string, keep ...string) error {
	began := time.Now()
	if t == b.ours {
		if _, err := t.run(dir, "up", "-d", "--wait"); err != nil {
			return err
		}
	} else {
		if _, err := t.run(dir, "up", "-d"); err != nil {
			return err
		}
		if _, err := b.docker.run(dir, "wait", filepath.Base(dir)+"-seq-1"); err != nil {
			return err
		}
	}
	r.put(t, time.Since(began))
	if len(keep) > 0 {
		return nil
	}
	_, err := t.run(dir, "down")
	return err
}
