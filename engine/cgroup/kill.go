package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// pause between two looks at a group that nobody can wait for.
const pause = time.Millisecond

// Kill sends SIGKILL to every process of the group and below it and returns
// when none is left, or with ctx's error. A group that does not exist is
// success. Zombies that nobody reaps do not count.
func (g *Group) Kill(ctx context.Context) error {
	for {
		if err := g.killOnce(ctx); err != nil {
			return fmt.Errorf("cannot kill cgroup %s: %w", g.path, err)
		}
		pids, err := g.alive()
		if err != nil || len(pids) == 0 {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("cannot kill cgroup %s: %w", g.path, err)
		}
	}
}

// killOnce uses cgroup.kill where there is v2. Otherwise it freezes, so that
// nothing forks meanwhile, signals everybody and thaws.
func (g *Group) killOnce(ctx context.Context) error {
	fault.Point("cgroup:kill")
	unifiedErr := g.killUnified()
	fault.Point("cgroup:killed")
	pids, err := g.alive()
	if err != nil || len(pids) == 0 {
		return err
	}
	if unifiedErr == nil && !g.frozenV1() {
		// Whoever is left entered another hierarchy only, or is just ending.
		return g.signalAll(pids)
	}
	freezer, ok := g.host.with("freezer")
	if !ok {
		return g.signalAll(pids)
	}
	freezeErr := g.freezeV1(ctx, freezer)
	if pids, err = g.alive(); err == nil {
		err = g.signalAll(pids)
	}
	thawErr := ignoreGone(write(path.Join(g.dir(freezer), "freezer.state"), "THAWED"))
	if ctx.Err() != nil {
		return errors.Join(err, freezeErr, thawErr)
	}
	return errors.Join(err, thawErr)
}

func (g *Group) killUnified() error {
	h, ok := g.host.unified()
	if !ok {
		return errors.ErrUnsupported
	}
	return ignoreGone(write(path.Join(g.dir(h), "cgroup.kill"), "1"))
}

// signalAll kills by number; between looking and signalling a process of the
// group may end, but it stays a zombie of its container until reaped, and its
// number is checked again by the caller's next look.
func (g *Group) signalAll(pids []int) error {
	for _, pid := range pids {
		err := unix.Kill(pid, unix.SIGKILL)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill %d: %w", pid, err)
		}
	}
	return nil
}

// alive are the group's processes without zombies.
func (g *Group) alive() ([]int, error) {
	pids, err := g.PIDs()
	if err != nil {
		return nil, err
	}
	living := pids[:0]
	for _, pid := range pids {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue
		}
		// The state follows the name, which is in brackets and may hold any.
		i := strings.LastIndexByte(string(stat), ')')
		if i >= 0 && i+2 < len(stat) && (stat[i+2] == 'Z' || stat[i+2] == 'X') {
			continue
		}
		living = append(living, pid)
	}
	return living, nil
}

// Remove kills what runs in the group and removes it with what is below it,
// from every hierarchy. A group that does not exist is success; parents that
// are left empty go too.
func (g *Group) Remove(ctx context.Context) error {
	if g.removeDead() {
		return nil // as a rule: its processes have ended
	}
	if err := g.Kill(ctx); err != nil {
		return err
	}
	for {
		err := g.removeEmpty()
		if err == nil || !errors.Is(err, unix.EBUSY) {
			return err
		}
		// A process that has just ended may still be counted.
		if waitErr := sleep(ctx, pause); waitErr != nil {
			return errors.Join(err, waitErr)
		}
	}
}

// removeDead removes the folders of a group that has neither processes nor
// groups below it, and reports whether that was all. The kernel refuses to
// remove any other, so nothing needs to be looked at before.
func (g *Group) removeDead() bool {
	fault.Point("cgroup:bury")
	defer fault.Point("cgroup:buried")
	all := true
	for _, h := range g.host.hierarchies {
		if err := unix.Rmdir(g.dir(h)); err != nil && !gone(err) {
			all = false
			continue
		}
		g.removeParents(h)
	}
	return all
}

// removeParents removes the groups above that are empty, up to and without the
// mount.
func (g *Group) removeParents(h hierarchy) {
	for dir := path.Dir(g.path); dir != "/"; dir = path.Dir(dir) {
		parent := path.Join(h.mount, dir)
		var stat unix.Stat_t
		// A group's folder has two links and one more for each below it.
		if unix.Lstat(parent, &stat) != nil || stat.Nlink > 2 || unix.Rmdir(parent) != nil {
			return
		}
	}
}

// removeEmpty removes the folders and parents that are left empty; EBUSY says
// that a process is in one.
func (g *Group) removeEmpty() error {
	fault.Point("cgroup:remove")
	defer fault.Point("cgroup:removed")
	var errs []error
	for _, h := range g.host.hierarchies {
		err := walk(g.dir(h), func(dir string) error {
			return unix.Rmdir(dir)
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot remove cgroup %s: %w", g.dir(h), err))
			continue
		}
		g.removeParents(h)
	}
	return errors.Join(errs...)
}

func ignoreGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
