package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// count is rows of up and down for a number of services.
type count struct {
	services, rounds int
	up, down         string // goals
}

func (n count) group() group {
	up, down := fmt.Sprintf("up-%d", n.services), fmt.Sprintf("down-%d", n.services)
	noun := "services"
	if n.services == 1 {
		noun = "service"
	}
	return group{
		rows: []*row{
			{key: up, what: fmt.Sprintf("up -d, %d %s, images present", n.services, noun), unit: millis, goal: n.up},
			{key: down, what: fmt.Sprintf("down, %d %s", n.services, noun), unit: millis, goal: n.down},
		},
		measure: func(b *bench, rows map[string]*row) error {
			return b.upAndDown(b.both(), n.services, b.rounds(n.rounds), rows[up], rows[down], rows)
		},
	}
}

// upAndDown alternates the tools.
func (b *bench) upAndDown(tools []*tool, services, rounds int, up, down *row, rows map[string]*row) error {
	dir, err := b.project(fmt.Sprintf("plain%d", services), plain(services))
	if err != nil {
		return err
	}
	for range rounds {
		for _, t := range tools {
			if err := errors.Join(timed(up, t, dir, "up", "-d"), timed(down, t, dir, "down")); err != nil {
				return err
			}
			b.settle(t, services)
		}
		if err := b.floorOfMany(up, services); err != nil {
			return err
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	return nil
}

// settle lets the kernel take the network namespaces and links of a tool's
// containers away, which it does behind its back, and write what it has left
// unwritten, before the other is timed: one that syncs would wait for that.
func (b *bench) settle(t *tool, services int) {
	unix.Sync()
	if t.world == nil {
		return
	}
	_ = t.world.do(func() error {
		for end := time.Now().Add(time.Duration(services) * 50 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if !strings.Contains(firstLine("ip", "-o", "-br", "link", "show", "type", "veth"), "@") {
				return nil
			}
		}
		return nil
	})
}

func (b *bench) many(rows map[string]*row) error {
	return b.upAndDown([]*tool{b.ours}, 200, b.rounds(3), rows["up-200"], rows["down-200"], rows)
}

// start measures what a container's start costs inside the daemon, by what up
// --timings says of one more container on a network that stands. Beside it
// stand the bare runtimes and the other engines, which start the same root
// file system and also wait for `true` to end.
func (b *bench) start(rows map[string]*row) error {
	r := rows["start"]
	dir, err := b.project("start", plain(2))
	if err != nil {
		return err
	}
	if _, err := b.ours.run(dir, "up", "-d", "s00"); err != nil {
		return err
	}
	if err := b.floorOf(r, "start", 40); err != nil {
		return err
	}
	for range b.rounds(20) {
		took, err := b.startStep(dir)
		if err != nil {
			return err
		}
		r.put(b.ours, took)
		for _, t := range []*tool{b.crun, b.runc} {
			if t == nil {
				continue
			}
			took, err := b.runBundle(t)
			if err != nil {
				return err
			}
			r.put(t, took)
			if t == b.runc {
				r.runc.add(ms(took))
			}
		}
	}
	for range b.rounds(6) {
		for _, t := range b.engines() {
			took, err := b.runImage(t, "true")
			if err != nil {
				return err
			}
			r.put(t, took)
		}
	}
	_, err = b.ours.run(dir, "down")
	return err
}

// engines are those peers that run an image.
func (b *bench) engines() (out []*tool) {
	for _, t := range []*tool{b.podman, b.docker} {
		if t != nil {
			out = append(out, t)
		}
	}
	return out
}

// startStep brings the second service up and takes it away again; the time is
// that of the step `start container`.
func (b *bench) startStep(dir string) (time.Duration, error) {
	_, errs, err := b.ours.streams(dir, "--progress", "json", "up", "-d", "--timings", "s01")
	if err != nil {
		return 0, err
	}
	var took time.Duration
	for line := range strings.Lines(errs) {
		var step struct {
			ID   string  `json:"id"`
			Took float64 `json:"took_ms"`
		}
		if json.Unmarshal([]byte(line), &step) == nil && strings.HasPrefix(step.ID, "start ") {
			took = time.Duration(step.Took * float64(time.Millisecond))
		}
	}
	if took == 0 {
		return 0, fmt.Errorf("up --timings names no start: %s", errs)
	}
	_, err = b.ours.run(dir, "rm", "-sf", "s01")
	return took, err
}

// oneOff measures `run --rm` of true: a container's whole life as a user sees it.
func (b *bench) oneOff(rows map[string]*row) error {
	r := rows["run"]
	dir, err := b.project("oneoff", plain(1))
	if err != nil {
		return err
	}
	tools := b.both()
	for _, t := range tools { // the network stands
		if _, err := t.run(dir, "up", "-d"); err != nil {
			return err
		}
	}
	for range b.rounds(9) {
		for _, t := range tools {
			if err := timed(r, t, dir, "run", "--rm", "-T", "s00", "true"); err != nil {
				return err
			}
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	return b.downAll(dir)
}

// downAll ends a group. Docker at times removes a network before it has seen
// the end of its last container: asked again it succeeds.
func (b *bench) downAll(dir string) error {
	var err error
	for _, t := range b.both() {
		_, e := t.run(dir, "down", "-v", "-t", "1")
		if e != nil && t != b.ours {
			_, e = t.run(dir, "down", "-v", "-t", "1")
		}
		err = errors.Join(err, e)
	}
	return err
}

// cold measures an up that must start the daemon first.
func (b *bench) cold(rows map[string]*row) error {
	dir, err := b.project("plain1", plain(1))
	if err != nil {
		return err
	}
	for range b.rounds(9) {
		if _, err := b.ours.run(dir, "system", "stop"); err != nil {
			return err
		}
		if err := timed(rows["up-cold"], b.ours, dir, "up", "-d"); err != nil {
			return err
		}
		if _, err := b.ours.run(dir, "down"); err != nil {
			return err
		}
		b.settle(b.ours, 1)
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	return nil
}

// again measures an up that has nothing to do.
func (b *bench) again(rows map[string]*row) error {
	dir, err := b.realProject(50)
	if err != nil {
		return err
	}
	for _, t := range b.both() {
		if _, err := t.run(dir, "up", "-d"); err != nil {
			return err
		}
	}
	for range b.rounds(15) {
		for _, t := range b.both() {
			if err := timed(rows["noop"], t, dir, "up", "-d"); err != nil {
				return err
			}
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	return b.downAll(dir)
}
