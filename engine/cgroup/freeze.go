package cgroup

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// Freeze stops every process of the group and returns when all stand still.
func (g *Group) Freeze(ctx context.Context) error {
	var err error
	if freezer, ok := g.host.with("freezer"); ok {
		err = g.freezeV1(ctx, freezer)
	} else if h, ok := g.host.unified(); ok {
		err = g.freezeV2(ctx, h)
	} else {
		err = spec.Errorf(spec.ErrUnavailable, "this machine has no freezer")
	}
	if err != nil {
		return fmt.Errorf("cannot freeze cgroup %s: %w", g.path, err)
	}
	return nil
}

// Thaw lets a frozen group run on; one that runs is success.
func (g *Group) Thaw() error {
	var err error
	if freezer, ok := g.host.with("freezer"); ok {
		err = write(path.Join(g.dir(freezer), "freezer.state"), "THAWED")
	} else if h, ok := g.host.unified(); ok {
		err = write(path.Join(g.dir(h), "cgroup.freeze"), "0")
	}
	if err != nil {
		return fmt.Errorf("cannot thaw cgroup %s: %w", g.path, err)
	}
	return nil
}

func (g *Group) freezeV2(ctx context.Context, h hierarchy) error {
	if err := write(path.Join(g.dir(h), "cgroup.freeze"), "1"); err != nil {
		return err
	}
	for {
		events, err := readFile(path.Join(g.dir(h), "cgroup.events"))
		if err != nil {
			return err
		}
		if counter(string(events), "frozen") == 1 {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// freezeV1 retries: while processes fork, v1 stays FREEZING; writing again,
// and thawing in between, gets it done (cgroup-v1/freezer-subsystem.rst).
func (g *Group) freezeV1(ctx context.Context, h hierarchy) error {
	file := path.Join(g.dir(h), "freezer.state")
	for try := 1; ; try++ {
		if try%50 == 0 {
			if err := write(file, "THAWED"); err != nil {
				return ignoreGone(err)
			}
		}
		if err := write(file, "FROZEN"); err != nil {
			return ignoreGone(err)
		}
		state, err := readFile(file)
		if err != nil {
			return ignoreGone(err)
		}
		if strings.TrimSpace(string(state)) == "FROZEN" {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (g *Group) frozenV1() bool {
	h, ok := g.host.with("freezer")
	if !ok || h.v2 {
		return false
	}
	state, err := readFile(path.Join(g.dir(h), "freezer.state"))
	return err == nil && strings.TrimSpace(string(state)) != "THAWED"
}
