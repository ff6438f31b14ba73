// Command soak runs a busy hundred of containers for a long time and looks
// whether the resident processes grow: probes, log writers, restart loops, exec
// calls, and a neighbour project that comes and goes. `make soak` runs it for
// an hour (DURATION=5m) and draws soak.svg; two minutes of it are a root test.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// soak is one run.
type soak struct {
	binary, work, state string
	duration            time.Duration
	every               time.Duration // between two samples

	mu      sync.Mutex
	began   time.Time
	samples []sample
	asked   []answer // of ps
	counts  counts
}

// answer is how long one ps took, and when it was asked.
type answer struct {
	at, took time.Duration
}

// counts is what happened in the run.
type counts struct{ ups, execs, lists int }

// busy is 100 containers. Sleeps differ, so that they do not beat in time.
const busy = `services:
  idle:
    image: busybox
    init: true
    scale: 50
    command: ["sleep", "100000"]
  probed:
    image: busybox
    init: true
    scale: 25
    command: ["sleep", "100000"]
    healthcheck: {test: ["CMD", "true"], interval: 2s, timeout: 30s}
  writer:
    image: busybox
    init: true
    scale: 15
    command: ["sh", "-c", "while true; do seq 100000 100200; sleep 1; done"]
  looping:
    image: busybox
    init: true
    scale: 10
    restart: always
    command: ["sh", "-c", "echo begun; sleep 11; exit 1"]
`

const neighbour = `services:
  near:
    image: busybox
    init: true
    scale: 3
    command: ["sleep", "100000"]
    volumes: ["data:/data"]
volumes:
  data:
`

// newSoak brings the hundred up below a new folder.
func newSoak(binary string, duration time.Duration) (*soak, error) {
	work, err := os.MkdirTemp("/var/tmp", "mc-soak-")
	if err != nil {
		return nil, err
	}
	s := &soak{binary: binary, work: work, state: filepath.Join(work, "state"), duration: duration}
	s.every = max(duration/240, 500*time.Millisecond)
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

func (s *soak) prepare() error {
	image, err := kerneltest.PackBusybox(s.work)
	if err != nil {
		return err
	}
	for name, file := range map[string]string{"busy": busy, "neighbour": neighbour} {
		if err := os.MkdirAll(s.folder(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(s.folder(name), "compose.yaml"), []byte(file), 0o644); err != nil {
			return err
		}
	}
	if _, err := s.call(context.Background(), "busy", "image", "import", image, "busybox"); err != nil {
		return err
	}
	_, err = s.call(context.Background(), "busy", "up", "-d")
	return err
}

// folder is a project's.
func (s *soak) folder(project string) string { return filepath.Join(s.work, project) }

// call runs one command in a project's folder.
func (s *soak) call(ctx context.Context, project string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, s.binary, args...)
	command.Dir = s.folder(project)
	command.Env = append(kerneltest.WithoutOurs(os.Environ()), "MYCOMPOSE_STATE_DIR="+s.state, "HOME="+s.work)
	out, err := command.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		err = fmt.Errorf("mycompose %s: %w: %s", strings.Join(args, " "), err, strings.Join(lines[max(0, len(lines)-3):], "\n"))
	}
	return string(out), err
}

// end takes everything away.
func (s *soak) end() error {
	var err error
	for _, project := range []string{"neighbour", "busy"} {
		_, e := s.call(context.Background(), project, "down", "-v", "-t", "2")
		err = errors.Join(err, e)
	}
	_, e := s.call(context.Background(), "busy", "system", "stop", "--all")
	return errors.Join(err, e, os.RemoveAll(s.work))
}

// run lets everything go on for the duration. A command that fails ends it.
func (s *soak) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.duration)
	defer cancel()
	s.began = time.Now()
	loops := []struct {
		pause time.Duration
		once  func(context.Context) error
	}{
		{s.every, s.sample},
		{500 * time.Millisecond, s.list},
		{300 * time.Millisecond, s.exec},
		{time.Second, s.upAndDown},
	}
	errs := make([]error, len(loops))
	var wg sync.WaitGroup
	for i, l := range loops {
		wg.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				if errs[i] = l.once(ctx); errs[i] != nil {
					cancel()
				}
				select {
				case <-ctx.Done():
				case <-time.After(l.pause):
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// list is one ps, timed. What the end of the run cuts off does not count.
func (s *soak) list(ctx context.Context) error {
	at := time.Since(s.began)
	if _, err := s.call(ctx, "busy", "ps"); err != nil {
		return ifGoingOn(ctx, err)
	}
	took := time.Since(s.began) - at
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.lists++
	s.asked = append(s.asked, answer{at, took})
	return nil
}

func (s *soak) exec(ctx context.Context) error {
	_, err := s.call(ctx, "busy", "exec", "-T", "idle", "true")
	if err != nil {
		return ifGoingOn(ctx, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.execs++
	return nil
}

func (s *soak) upAndDown(ctx context.Context) error {
	// Not cut off by the run's end: both have to work.
	ctx = context.WithoutCancel(ctx)
	for _, args := range [][]string{{"up", "-d"}, {"down", "-v"}} {
		if _, err := s.call(ctx, "neighbour", args...); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.ups++
	return nil
}

func ifGoingOn(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
