package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// projects keeps the desired state of projects over the store; it is compose's
// Projects.
type projects struct {
	store  *store.Store
	inputs *inputs
	// recent are records as they are kept, by name.
	recent *recent[compose.Record]
}

// LoadProject reads a kept project, which nobody may change; spec.ErrNotFound
// if none is.
func (p projects) LoadProject(_ context.Context, name string) (compose.Record, error) {
	if r, ok := p.recent.get(name); ok {
		return r, nil
	}
	var r compose.Record
	err := p.store.Get(store.Project, name, &r)
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*store.TornError)) {
		return r, spec.Errorf(spec.ErrNotFound, "no such project: %s", name)
	}
	if err == nil && (r.Model == nil || r.Model.Format != model.Format) {
		return r, fmt.Errorf("cannot load project %s: it was kept by another version", name)
	}
	if err == nil {
		p.recent.put(name, r)
	}
	return r, err
}

// SaveProject keeps a project so that it survives a power failure, and with it
// all that was kept before: the contents that it names, and the operation that
// it is saved for, which is resumed then. The model is ours from here: its
// caller changes it no more.
func (p projects) SaveProject(_ context.Context, r compose.Record) error {
	if r.Model != nil && r.Model.Format != model.Format {
		r.Model.Format = model.Format
	}
	p.recent.drop(r.Name)
	if err := p.store.Put(store.Project, r.Name, r, store.Cached); err != nil {
		return err
	}
	if r.Model != nil {
		p.recent.put(r.Name, r)
	}
	return p.store.Settle()
}

// DeleteProject forgets a project and what was kept for its files; a missing
// one is success.
func (p projects) DeleteProject(_ context.Context, name string) error {
	p.recent.drop(name)
	if err := p.store.Delete(store.Project, name); err != nil {
		return err
	}
	records, err := p.readable()
	if store.Aside(err) {
		return nil // contents that an unreadable project may name stay
	}
	if err != nil {
		return err
	}
	return p.inputs.forget(name, records)
}

// ListProjects lists what is kept, by name.
func (p projects) ListProjects(context.Context) ([]compose.Record, error) {
	readable, err := p.readable()
	if store.Aside(err) {
		err = nil // `info` and commands on them name them; the rest goes on
	}
	return readable, err
}

// readable returns the projects that can be read, also beside an error.
func (p projects) readable() ([]compose.Record, error) {
	all, err := store.Load[compose.Record](p.store, store.Project)
	var out []compose.Record
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out, err
}

// Projects implements Keeper.
func (p projects) Projects(ctx context.Context) (map[string]*model.Project, error) {
	records, err := p.ListProjects(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]*model.Project{}
	for _, r := range records {
		if r.Model != nil {
			out[r.Name] = r.Model
		}
	}
	return out, nil
}
