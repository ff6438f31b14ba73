package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// bench is the tools, and what they run.
type bench struct {
	quick bool
	// work holds all that this run makes; it goes at the end.
	work, state, bundle, image, load, floorProgram string
	// runs numbers the containers of runc and crun.
	runs  int
	load0 string

	ours *tool
	// Peers are nil where they are not installed.
	dockerd                             *dockerd
	compose, docker, podman, runc, crun *tool
}

func newBench(quick bool) (*bench, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("needs root")
	}
	work, err := os.MkdirTemp("/var/tmp", "mc-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{quick: quick, work: work, load0: loadAverage(), state: filepath.Join(work, "state"),
		bundle: filepath.Join(work, "bundle"), image: filepath.Join(work, "image.tar"),
		load: filepath.Join(work, "load"), floorProgram: filepath.Join(work, "floor")}
	if err := b.prepare(); err != nil {
		return nil, errors.Join(err, b.end())
	}
	return b, nil
}

func (b *bench) prepare() error {
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.load, "./e2e/bench/load")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	if err := shell("gcc -O2 -Wall -Wno-format-truncation -o " + b.floorProgram + " e2e/bench/floor/floor.c"); err != nil {
		return err
	}
	if err := b.makeImage(); err != nil {
		return err
	}
	var err error
	if b.ours, err = b.mycompose(); err != nil {
		return err
	}
	if _, err := b.ours.run(b.work, "image", "import", b.image, "busybox"); err != nil {
		return err
	}
	if b.runc, err = runtimeTool("runc", b.bundle); err != nil {
		return err
	}
	if b.crun, err = runtimeTool("crun", b.bundle); err != nil {
		return err
	}
	return b.preparePeers()
}

func (b *bench) preparePeers() error {
	built, err := filepath.Abs("bin/peers/docker-compose")
	if err != nil {
		return err
	}
	if b.dockerd, err = newDockerd(filepath.Join(b.work, "docker"), built); err != nil {
		return err
	}
	if d := b.dockerd; d != nil {
		b.docker, b.compose = d.docker, d.compose
		if _, err := d.docker.run(b.work, "import", b.image, "busybox"); err != nil {
			return err
		}
	}
	if b.podman, err = podmanTool(filepath.Join(b.work, "podman"), b.image); err != nil {
		return err
	}
	b.tryPeers()
	return nil
}

// tryPeers runs each once: one that does not work on this machine is named and
// left out.
func (b *bench) tryPeers() {
	for _, p := range []**tool{&b.runc, &b.crun, &b.podman, &b.docker} {
		t := *p
		if t == nil {
			continue
		}
		var err error
		if t == b.runc || t == b.crun {
			_, err = b.runBundle(t)
		} else {
			_, err = b.runImage(t, "true")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: left out:", err)
			*p = nil
		}
	}
}

// end takes everything away again.
func (b *bench) end() error {
	var err error
	if b.ours != nil {
		dirs, _ := filepath.Glob(filepath.Join(b.work, "projects", "*"))
		for _, dir := range dirs {
			_, e := b.ours.run(dir, "down", "-v", "-t", "1")
			err = errors.Join(err, e)
		}
		_, e := b.ours.run(b.work, "system", "stop", "--all")
		err = errors.Join(err, e)
		b.ours.world.end()
	}
	err = errors.Join(err, b.dockerd.end())
	for _, t := range []*tool{b.runc, b.crun} {
		if t != nil {
			t.world.end()
		}
	}
	if b.podman != nil {
		_, e := b.podman.run(b.work, "rm", "-af")
		err = errors.Join(err, e)
		b.podman.world.end()
	}
	return errors.Join(err, os.RemoveAll(b.work))
}

// rounds is how often something is measured: a third in a quick run.
func (b *bench) rounds(n int) int {
	if b.quick {
		return max(2, n/3)
	}
	return n
}

// both are the command lines that take a compose file.
func (b *bench) both() []*tool {
	if b.compose == nil {
		return []*tool{b.ours}
	}
	return []*tool{b.ours, b.compose}
}

// baseline runs runc once for rows whose ratios need it.
func (b *bench) baseline(rows map[string]*row) error {
	if b.runc == nil {
		return nil
	}
	took, err := b.runBundle(b.runc)
	for _, r := range rows {
		r.runc.add(ms(took))
	}
	return err
}

// put notes what a tool took; a row that is not wanted is nil.
func (r *row) put(t *tool, took time.Duration) {
	if r != nil {
		r.of(t.name).add(ms(took))
	}
}

func (r *row) putValue(name string, value float64) {
	if r != nil {
		r.of(name).add(value)
	}
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// timed runs a command and notes its time.
func timed(r *row, t *tool, dir string, args ...string) error {
	took, err := t.run(dir, args...)
	if err == nil {
		r.put(t, took)
	}
	return err
}
