package daemon

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// kept is a loaded project by the key of the request that loaded it.
type kept struct {
	client.Input
	Project string    `json:"project"`
	At      time.Time `json:"at"`
}

// inputs keeps loaded projects, so that a client whose files are unchanged
// sends a fingerprint in place of the model.
type inputs struct {
	store    *store.Store
	contents Contents
	// admission is read-locked from keeping contents until something that is
	// kept names them.
	admission sync.RWMutex
	// awaited are digests that operations without result brought; nil is none.
	awaited func() []string
	// recent are kept inputs as find returned them, by key.
	recent recent[found]
}

// found is what is kept under a key, with its model decoded.
type found struct {
	kept
	model    *model.Project
	services []string // of the model, disabled ones included, sorted
	// unattached are those with attach: false.
	unattached []string
}

func (k kept) found(project *model.Project) found {
	services := slices.Collect(maps.Keys(project.Services))
	services = slices.AppendSeq(services, maps.Keys(project.Disabled))
	slices.Sort(services)
	return found{k, project, services, project.Unattached()}
}

// kind is the place of kept inputs: inputs/<key>.json.
func (i *inputs) kind() store.Kind {
	return store.Kind{Word: "inputs", Folder: "inputs", Version: 1}
}

// maxKept bounds the number of kept inputs; the oldest go first.
const maxKept = 64

// accept keeps the input of an operation and takes the contents out of it, so
// that they are in no operation's record.
func (i *inputs) accept(op *client.Operation) error {
	in := op.Input
	if in == nil {
		return nil
	}
	if !validKey(in.Key) {
		return spec.Errorf(spec.ErrInvalid, "cannot take inputs: bad key %q", in.Key)
	}
	if in.Model == nil {
		k, err := i.find(in.Key)
		if err != nil || k.Fingerprint != in.Fingerprint {
			return spec.Errorf(spec.ErrNotFound, "cannot use inputs: unknown fingerprint")
		}
		op.Input = &client.Input{Key: in.Key, Fingerprint: in.Fingerprint, Model: k.Model, Digests: k.Digests}
		return nil
	}
	for digest, content := range in.Contents {
		got, err := i.contents.PutContent(content)
		if err != nil {
			return fmt.Errorf("cannot keep a config or secret: %w", err)
		}
		if got != digest {
			return spec.Errorf(spec.ErrInvalid, "cannot take inputs: a content is not what its digest says")
		}
	}
	project, err := model.Decode(in.Model)
	if err != nil {
		return spec.Errorf(spec.ErrInvalid, "cannot take inputs: %v", err)
	}
	if op.Project != project.Name {
		return spec.Errorf(spec.ErrInvalid, "cannot take inputs: project %s in an operation for %s", project.Name, op.Project)
	}
	k := kept{Input: *in, Project: project.Name, At: time.Now()}
	digests := slices.Sorted(maps.Keys(in.Contents))
	k.Digests = digests
	k.Contents = nil
	if in.Inputs != nil {
		i.recent.drop(in.Key)
		// On a disk that is full or read-only the next daemon is sent it once more.
		if err := i.store.Put(i.kind(), in.Key, k, store.Volatile); err != nil && !unwritable(err) {
			return err
		}
		i.recent.put(in.Key, k.found(project))
		i.prune()
	}
	op.Input = &client.Input{Key: in.Key, Fingerprint: in.Fingerprint, Model: in.Model, Digests: digests}
	return nil
}

func validKey(key string) bool {
	raw, err := hex.DecodeString(key)
	return err == nil && len(raw) == 32
}

// find returns what is kept under a key, if its contents are still there.
func (i *inputs) find(key string) (found, error) {
	if !validKey(key) {
		return found{}, spec.Errorf(spec.ErrInvalid, "bad key %q", key)
	}
	f, ok := i.recent.get(key)
	if !ok {
		var err error
		if f, err = i.read(key); err != nil {
			return found{}, err
		}
		i.recent.put(key, f)
	}
	for _, digest := range f.Digests {
		if !i.contents.HasContent(digest) {
			return found{}, spec.Errorf(spec.ErrNotFound, "a content of %s is gone", key)
		}
	}
	return f, nil
}

// read reads what is kept under a key from the store.
func (i *inputs) read(key string) (found, error) {
	var k kept
	err := i.store.Get(i.kind(), key, &k)
	if errors.Is(err, fs.ErrNotExist) || store.Aside(err) { // it is a cache
		return found{}, spec.Errorf(spec.ErrNotFound, "nothing is kept under %s", key)
	}
	if err != nil {
		return found{}, err
	}
	project, err := model.Decode(k.Model)
	if err != nil {
		return found{}, spec.Errorf(spec.ErrNotFound, "what is kept under %s is of another version", key)
	}
	return k.found(project), nil
}

// answer is what a client may know of what is kept.
func (i *inputs) answer(key string) (client.KeptInput, error) {
	k, err := i.find(key)
	if err != nil {
		return client.KeptInput{}, err
	}
	return client.KeptInput{
		Project: k.Project, Fingerprint: k.Fingerprint, Inputs: k.Inputs, Warnings: k.Warnings, Services: k.services, Outline: k.model.Outline(), Unattached: k.unattached,
	}, nil
}

// fill decodes the model of an operation that is about to run.
func (i *inputs) fill(w *Work) error {
	if w.Input == nil {
		return nil
	}
	if f, ok := i.recent.get(w.Input.Key); ok && f.Fingerprint == w.Input.Fingerprint {
		w.Model = f.model
		return nil
	}
	project, err := model.Decode(w.Input.Model)
	if err != nil {
		return err
	}
	w.Model = project
	return nil
}

// prune drops the oldest kept inputs beyond the bound. One that cannot be
// dropped costs only space and is tried again.
func (i *inputs) prune() {
	names, err := i.store.Names(i.kind())
	if err != nil || len(names) <= maxKept {
		return
	}
	at := map[string]time.Time{}
	for _, name := range names {
		var k struct {
			At time.Time `json:"at"`
		}
		_ = i.store.Get(i.kind(), name, &k) // unreadable: oldest of all
		at[name] = k.At
	}
	slices.SortFunc(names, func(a, b string) int { return at[a].Compare(at[b]) })
	for _, name := range names[:len(names)-maxKept] {
		i.recent.drop(name)
		_ = i.store.Delete(i.kind(), name)
	}
}

// forget drops everything kept for a project, and contents that nothing names
// any more; records are those of the projects that are still kept.
func (i *inputs) forget(project string, records []compose.Record) error {
	names, err := i.store.Names(i.kind())
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	want := func(digests []string) {
		for _, d := range digests {
			wanted[d] = true
		}
	}
	i.admission.Lock()
	defer i.admission.Unlock()
	var wrong []error
	for _, name := range names {
		var k struct {
			Project string   `json:"project"`
			Digests []string `json:"digests"`
		}
		if i.store.Get(i.kind(), name, &k) != nil || k.Project == project {
			i.recent.drop(name)
			wrong = append(wrong, i.store.Delete(i.kind(), name))
			continue
		}
		want(k.Digests)
	}
	for _, r := range records {
		want(r.Contents)
	}
	if i.awaited != nil {
		want(i.awaited())
	}
	return errors.Join(append(wrong, i.contents.PruneContents(wanted))...)
}
