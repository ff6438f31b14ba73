package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/folder"
)

// operation is one change of the disk as it was asked for; paths are below the
// state folder.
type operation struct {
	verb     string // create, append, rename, remove, mkdir, sync
	path, to string
	content  []byte
	synced   bool
}

// recorder carries operations out and writes them down.
type recorder struct {
	osOps
	root string
	ops  []operation
}

func (r *recorder) note(err error, o operation) error {
	if err != nil {
		return err
	}
	for _, p := range []*string{&o.path, &o.to} {
		*p = strings.TrimPrefix(*p, r.root)
	}
	r.ops = append(r.ops, o)
	return nil
}

func (r *recorder) Create(path string, content []byte, sync bool) error {
	return r.note(r.osOps.Create(path, content, sync), operation{verb: "create", path: path, content: slices.Clone(content), synced: sync})
}

func (r *recorder) Append(path string, content []byte, limit int64) error {
	return r.note(r.osOps.Append(path, content, limit), operation{verb: "append", path: path, content: slices.Clone(content)})
}

func (r *recorder) Rename(from, to string) error {
	return r.note(r.osOps.Rename(from, to), operation{verb: "rename", path: from, to: to})
}

func (r *recorder) Remove(path string) error {
	return r.note(r.osOps.Remove(path), operation{verb: "remove", path: path})
}

func (r *recorder) MkdirAll(path string) error {
	return r.note(r.osOps.MkdirAll(path), operation{verb: "mkdir", path: path})
}

func (r *recorder) SyncAll(path string) error {
	return r.note(r.osOps.SyncAll(path), operation{verb: "sync", path: path})
}

// promise is what an object may be after a power failure.
type promise struct {
	settled string          // its text at the last Settle, "" is absent
	later   map[string]bool // what it became since
}

// history is a sequence of store calls with, after each operation of the disk,
// what is promised.
type history struct {
	t        *testing.T
	store    *Store
	disk     *recorder
	now      map[string]string // object → text
	promised map[string]promise
	at       []map[string]promise // by number of operations done
}

func newHistory(t *testing.T) *history {
	s := opened(t)
	h := &history{t: t, store: s, disk: &recorder{root: s.State}, now: map[string]string{}, promised: map[string]promise{}}
	s.ops = h.disk
	h.at = []map[string]promise{{}}
	return h
}

var historyKinds = map[string]Kind{}

func key(k Kind, name string) string {
	historyKinds[k.Word+" of "+k.Folder] = k
	return k.Word + " of " + k.Folder + "\x00" + name
}

// mark extends what is promised over the operations that were just done.
func (h *history) mark() {
	snapshot := map[string]promise{}
	for k, p := range h.promised {
		snapshot[k] = promise{p.settled, maps.Clone(p.later)}
	}
	for len(h.at) <= len(h.disk.ops) {
		h.at = append(h.at, snapshot)
	}
}

func (h *history) became(k string, text string) {
	p := h.promised[k]
	if p.later == nil {
		p.later = map[string]bool{}
	}
	p.later[text] = true
	h.promised[k], h.now[k] = p, text
}

func (h *history) put(k Kind, name, text string, d Durability) {
	h.t.Helper()
	h.became(key(k, name), text)
	if err := h.store.Put(k, name, thing{text}, d); err != nil {
		h.t.Fatal(err)
	}
	h.mark()
}

func (h *history) remove(k Kind, name string) {
	h.t.Helper()
	h.became(key(k, name), "")
	if err := h.store.Delete(k, name); err != nil {
		h.t.Fatal(err)
	}
	h.mark()
}

func (h *history) settle() {
	h.t.Helper()
	if err := h.store.Settle(); err != nil {
		h.t.Fatal(err)
	}
	for k := range h.promised {
		h.promised[k] = promise{settled: h.now[k]}
	}
	// The last operation is the sync: from then on it holds.
	h.at = h.at[:min(len(h.at), len(h.disk.ops))]
	h.mark()
}

// life is what an up, a stop and a down of a project ask of the store.
func (h *history) life() {
	op := Operation("shop")
	h.put(Image, "sha256:aa", "image", Cached)
	h.settle()
	h.put(op, "op1", "up", Volatile)
	h.put(Project, "shop", "model", Cached)
	h.settle()
	h.put(Network, "shop_default", "bridge", Cached)
	h.put(Volume, "shop_data", "volume", Cached)
	for _, id := range []string{"c1", "c2"} {
		h.put(Container, id, "blueprint", Cached)
		h.put(ContainerStatus, id, "starting", Cached)
		h.put(ContainerStatus, id, "running", Cached)
	}
	h.settle()
	h.remove(op, "op1")
	h.put(ContainerStatus, "c1", "exited", Cached)
	h.put(ContainerStatus, "c1", "running again", Cached)
	h.put(op, "op2", "stop", Volatile)
	h.put(ContainerStatus, "c2", "stopped", Cached)
	h.settle()
	h.put(op, "op3", "up", Volatile)
	h.put(Project, "shop", "edited model", Cached)
	h.settle()
	h.remove(Container, "c1")
	h.remove(ContainerStatus, "c1")
	h.put(Container, "c3", "blueprint", Cached)
	h.put(ContainerStatus, "c3", "running", Cached)
	h.settle()
	h.put(op, "op4", "down", Volatile)
	for _, id := range []string{"c2", "c3"} {
		h.remove(ContainerStatus, id)
		h.remove(Container, id)
	}
	h.remove(Network, "shop_default")
	h.remove(Project, "shop")
	h.settle()
}

// after makes the disk as it may be when the power fails after so many
// operations: what was synced is there; of the rest any part, in any order,
// with contents cut short or zeroed.
func (h *history) after(done int, chance *rand.Rand, lossless bool) folder.Place {
	h.t.Helper()
	p := place(h.t)
	if _, err := Open(p); err != nil {
		h.t.Fatal(err)
	}
	durable := 0
	for i, o := range h.disk.ops[:done] {
		if o.verb == "sync" {
			durable = i
		}
	}
	for i, o := range h.disk.ops[:done] {
		lost := !lossless && i >= durable
		if lost && chance.IntN(3) == 0 {
			continue
		}
		content := o.content
		if lost && !o.synced && len(content) > 0 {
			switch chance.IntN(4) {
			case 0:
				content = content[:chance.IntN(len(content))]
			case 1:
				content = make([]byte, len(content))
			case 2:
				content = nil
			}
		}
		err := apply(p.State, o, content)
		if err != nil && !lost {
			h.t.Fatalf("operation %d: %v", i, err)
		}
	}
	return p
}

func apply(root string, o operation, content []byte) error {
	path := filepath.Join(root, o.path)
	switch o.verb {
	case "create":
		return os.WriteFile(path, content, 0o600)
	case "append":
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		return errors.Join(err, f.Close())
	case "rename":
		return os.Rename(path, filepath.Join(root, o.to))
	case "remove":
		return os.Remove(path)
	case "mkdir":
		return os.MkdirAll(path, 0o700)
	}
	return nil
}

// check opens the disk as the next daemon does and holds it against what was
// promised. It returns how many objects were set aside.
func (h *history) check(what string, p folder.Place, promised map[string]promise, lossless bool) int {
	h.t.Helper()
	s, err := Open(p)
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
	if err := s.Sweep(); err != nil {
		h.t.Errorf("%s: %v", what, err)
	}
	aside := 0
	for k, promise := range promised {
		word, name, _ := strings.Cut(k, "\x00")
		var got thing
		err := s.Get(historyKinds[word], name, &got)
		var torn *TornError
		switch {
		case errors.As(err, &torn):
			aside++
			if len(promise.later) == 0 || lossless {
				h.t.Errorf("%s: %s was settled and is torn", what, k)
			}
			if _, err := os.Stat(torn.SetAside); err != nil {
				h.t.Errorf("%s: remains: %v", what, err)
			}
			if !slices.ContainsFunc(s.Notices(), func(n string) bool { return strings.Contains(n, torn.SetAside) }) {
				h.t.Errorf("%s: %s is not named by %q", what, torn.SetAside, s.Notices())
			}
			if err := s.Get(historyKinds[word], name, &got); !errors.Is(err, fs.ErrNotExist) {
				h.t.Errorf("%s: %s after it was set aside: %v", what, k, err)
			}
			// It can be written anew.
			if err := s.Put(historyKinds[word], name, thing{"rebuilt"}, Cached); err != nil {
				h.t.Errorf("%s: %v", what, err)
			}
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			h.t.Errorf("%s: %s: %v", what, k, err)
		case got.Text != promise.settled && !promise.later[got.Text] && len(promise.later) == 0:
			h.t.Errorf("%s: %s is %q, promised was %q", what, k, got.Text, promise.settled)
		case got.Text != promise.settled && !promise.later[got.Text]:
			h.t.Errorf("%s: %s is %q, which it never was", what, k, got.Text)
		}
	}
	for _, path := range s.objectFiles() {
		if strings.HasSuffix(path, temporary) {
			h.t.Errorf("%s: %s is left", what, path)
		}
	}
	return aside
}

func TestAKillAfterEveryOperationLeavesOldOrNewObjects(t *testing.T) {
	h := newHistory(t)
	h.life()
	for done := range len(h.disk.ops) + 1 {
		h.check(fmt.Sprintf("killed after operation %d", done), h.after(done, nil, true), h.at[done], true)
	}
	t.Logf("%d operations", len(h.disk.ops))
}

func TestAPowerFailureLosesNothingThatWasSettled(t *testing.T) {
	h := newHistory(t)
	h.life()
	const tries = 3 // for each number of operations
	aside := 0
	for done := range len(h.disk.ops) + 1 {
		for seed := range tries {
			chance := rand.New(rand.NewPCG(uint64(done), uint64(seed)))
			aside += h.check(fmt.Sprintf("power failed after operation %d, seed %d", done, seed),
				h.after(done, chance, false), h.at[done], false)
		}
	}
	if aside == 0 {
		t.Error("nothing was torn: the failures are too kind")
	}
	t.Logf("%d operations, %d failures, %d objects set aside", len(h.disk.ops), (len(h.disk.ops)+1)*tries, aside)
}

func TestANewerObjectIsNotReplaced(t *testing.T) {
	s := opened(t)
	newer := Network
	newer.Version = 2
	if err := s.Put(newer, "x", thing{"from the future"}, Cached); err != nil {
		t.Fatal(err)
	}
	if _, err := Load[thing](s, Network); !errors.As(err, new(*NewerError)) {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"put": s.Put(Network, "x", thing{}, Cached), "delete": s.Delete(Network, "x")} {
		if !errors.As(err, new(*NewerError)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var got thing
	if err := s.Get(newer, "x", &got); err != nil || got.Text != "from the future" {
		t.Errorf("it is %+v, %v", got, err)
	}
	if n := s.Notices(); len(n) != 1 || !strings.Contains(n[0], "network x") || !strings.Contains(n[0], "format 2, this one reads up to 1") {
		t.Errorf("notices %q", n)
	}
}
