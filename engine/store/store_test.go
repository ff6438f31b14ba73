package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/folder"
)

type thing struct {
	Text string `json:"text"`
}

func place(t *testing.T) folder.Place {
	t.Helper()
	dir := t.TempDir()
	p, err := Locate(filepath.Join(dir, "state"), filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func opened(t *testing.T) *Store {
	t.Helper()
	s, err := Open(place(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestObjectsComeBackAsTheyWerePut(t *testing.T) {
	s := opened(t)
	for _, kind := range []Kind{Container, Image, Operation("shop")} {
		for _, d := range []Durability{Cached, Volatile, Ordered} {
			want := thing{kind.Word}
			if err := s.Put(kind, "a-1", want, d); err != nil {
				t.Fatal(err)
			}
			var got thing
			if err := s.Get(kind, "a-1", &got); err != nil || got != want {
				t.Fatalf("got %v, %v; want %v", got, err, want)
			}
		}
		names, err := s.Names(kind)
		if err != nil || len(names) != 1 || names[0] != "a-1" {
			t.Fatalf("names of %s: %v, %v", kind.Word, names, err)
		}
		if err := s.Delete(kind, "a-1"); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(kind, "a-1"); err != nil {
			t.Errorf("deleting a missing %s: %v", kind.Word, err)
		}
		if err := s.Get(kind, "a-1", &thing{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a deleted %s: %v", kind.Word, err)
		}
	}
	if got := s.Syncs(); got != 1+3 { // the format, and each ordered one
		t.Errorf("%d syncs, want 4", got)
	}
	if _, err := os.Stat(filepath.Join(s.State, "containers", "a-1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of a deleted container is still there: %v", err)
	}
}

func TestNamesThatLeadElsewhereAreRefused(t *testing.T) {
	s := opened(t)
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".hidden", "a\x00b", "a b", strings.Repeat("x", 201)} {
		if err := s.Put(Image, name, thing{}, Cached); err == nil {
			t.Errorf("Put took the name %q", name)
		}
		if err := s.Get(Container, name, &thing{}); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Get of the name %q: %v", name, err)
		}
		if err := s.Delete(Volume, name); err == nil {
			t.Errorf("Delete took the name %q", name)
		}
	}
	if err := s.Put(Operation("../.."), "x", thing{}, Cached); err == nil {
		t.Error("Put took a folder with ..")
	}
}

func TestANewerFormatIsRefusedAndLeftAlone(t *testing.T) {
	s := opened(t)
	newer := Image
	newer.Version = 7
	if err := s.Put(newer, "x", thing{"from the future"}, Cached); err != nil {
		t.Fatal(err)
	}
	var newerErr *NewerError
	if err := s.Get(Image, "x", &thing{}); !errors.As(err, &newerErr) {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(newerErr.Error(), "a newer mycompose wrote it (format 7, this one reads up to 1)") {
		t.Errorf("text: %v", newerErr)
	}
	if err := s.Get(newer, "x", &thing{}); err != nil {
		t.Errorf("the newer one cannot read it any more: %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.State, "format"), []byte("mycompose state 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.Place); err == nil || !strings.Contains(err.Error(), "a newer mycompose wrote it") {
		t.Errorf("a newer tree: %v", err)
	}
}

// stopping lets so many operations through, and then nothing.
type stopping struct {
	osOps
	left int
	half bool // the operation at which it stops is done by half
}

var errStopped = errors.New("stopped")

func (o *stopping) step() error {
	if o.left == 0 {
		return errStopped
	}
	o.left--
	return nil
}

func (o *stopping) Create(path string, content []byte, sync bool) error {
	if err := o.step(); err != nil {
		if o.half {
			_ = o.osOps.Create(path, content[:len(content)/2], false)
		}
		return err
	}
	return o.osOps.Create(path, content, sync)
}

func (o *stopping) Append(path string, content []byte, limit int64) error {
	if err := o.step(); err != nil {
		if o.half {
			_ = o.osOps.Append(path, content[:len(content)/2], limit)
		}
		return err
	}
	return o.osOps.Append(path, content, limit)
}

func (o *stopping) Rename(from, to string) error {
	if err := o.step(); err != nil {
		return err
	}
	return o.osOps.Rename(from, to)
}

func (o *stopping) Remove(path string) error {
	if err := o.step(); err != nil {
		return err
	}
	return o.osOps.Remove(path)
}

func (o *stopping) MkdirAll(path string) error {
	if err := o.step(); err != nil {
		return err
	}
	return o.osOps.MkdirAll(path)
}

func TestAStopAfterEachOperationLeavesTheOldOrTheNewObject(t *testing.T) {
	for _, kind := range []Kind{Container, ContainerStatus} {
		for _, d := range []Durability{Cached, Ordered} {
			for _, half := range []bool{false, true} {
				stopAfterEachOperation(t, kind, d, half)
			}
		}
	}
}

func stopAfterEachOperation(t *testing.T, kind Kind, d Durability, half bool) {
	old, new := thing{"old"}, thing{"new"}
	sawOld, sawNew := false, false
	for steps := 0; steps <= 3; steps++ {
		s := opened(t)
		if err := s.Put(kind, "x", old, Cached); err != nil {
			t.Fatal(err)
		}
		s.ops = &stopping{left: steps, half: half}
		putErr := s.Put(kind, "x", new, d)
		after, err := Open(s.Place) // the next process
		if err != nil {
			t.Fatal(err)
		}
		var got thing
		if err := after.Get(kind, "x", &got); err != nil {
			t.Fatalf("%s, after %d steps: %v", kind.Word, steps, err)
		}
		if got != old && got != new || putErr == nil && got != new {
			t.Errorf("%s, after %d steps: %v (put: %v)", kind.Word, steps, got, putErr)
		}
		sawOld, sawNew = sawOld || got == old, sawNew || got == new
		if err := after.Sweep(); err != nil {
			t.Fatal(err)
		}
		left, _ := filepath.Glob(filepath.Join(s.State, "containers", "x", ".*"))
		if len(left) > 0 {
			t.Errorf("%s, after %d steps: left %v", kind.Word, steps, left)
		}
		// What was left by half is in nobody's way.
		if err := after.Put(kind, "x", thing{"next"}, Cached); err != nil {
			t.Fatal(err)
		}
		if err := after.Get(kind, "x", &got); err != nil || got.Text != "next" {
			t.Errorf("%s, put after %d steps: %v, %v", kind.Word, steps, got, err)
		}
	}
	if !sawOld || !sawNew {
		t.Errorf("%s: the steps did not cover both outcomes", kind.Word)
	}
}

func TestWhatChangesOftenKeepsItsFileSmall(t *testing.T) {
	s := opened(t)
	path := filepath.Join(s.State, "containers", "x", "status.json")
	long := strings.Repeat("x", appendLimit/10)
	begun := 0
	var before os.FileInfo
	for i := range 50 {
		want := thing{strconv.Itoa(i) + long}
		if err := s.Put(ContainerStatus, "x", want, Cached); err != nil {
			t.Fatal(err)
		}
		var got thing
		if err := s.Get(ContainerStatus, "x", &got); err != nil || got != want {
			t.Fatalf("put %d: %.10s, %v", i, got.Text, err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Size() > appendLimit {
			t.Fatalf("put %d: %v, %v", i, info, err)
		}
		if before == nil || !os.SameFile(before, info) {
			begun++
		}
		before = info
	}
	if begun < 5 || begun > 10 {
		t.Errorf("the file was begun %d times, want once in nine puts or so", begun)
	}
}

func TestTheLastWholeObjectOfAFileCounts(t *testing.T) {
	object := func(text string) string {
		raw, err := encode(1, thing{text})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	half := object("torn")[:70]
	for name, c := range map[string]struct{ raw, want string }{
		"two":                      {object("a") + "\n" + object("b"), "b"},
		"a torn one behind":        {object("a") + "\n" + half, "a"},
		"a torn one between":       {object("a") + "\n" + half + "\n" + object("b"), "b"},
		"zeros behind":             {object("a") + strings.Repeat("\x00", 300), "a"},
		"zeros between":            {object("a") + strings.Repeat("\x00", 300) + "\n" + object("b"), "b"},
		"a torn one before":        {half + "\n" + object("b"), "b"},
		"the magic word in a text": {object("\nmycompose-object 1 x"), "\nmycompose-object 1 x"},
		"nothing whole":            {half + "\n" + half, ""},
	} {
		s := opened(t)
		dir := filepath.Join(s.State, "containers", "x")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "status.json"), []byte(c.raw), 0o600); err != nil {
			t.Fatal(err)
		}
		var got thing
		err := s.Get(ContainerStatus, "x", &got)
		if torn := errors.As(err, new(*TornError)); torn != (c.want == "") || got.Text != c.want {
			t.Errorf("%s: %q, %v", name, got.Text, err)
		}
	}
}

func TestALockExcludesAndIsSharedAsAsked(t *testing.T) {
	s := opened(t)
	shared, err := s.TryLock(Image, "x", folder.Shared)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.TryLock(Image, "x", folder.Shared)
	if err != nil {
		t.Fatalf("a second shared lock: %v", err)
	}
	if _, err := s.TryLock(Image, "x", folder.Exclusive); !errors.Is(err, folder.ErrLocked) {
		t.Fatalf("exclusive beside shared: %v", err)
	}
	if other, err := s.TryLock(Image, "y", folder.Exclusive); err != nil {
		t.Errorf("another object: %v", err)
	} else if err := other.Unlock(); err != nil {
		t.Error(err)
	}
	got := make(chan error, 1)
	go func() {
		lock, err := s.Lock(context.Background(), Image, "x", folder.Exclusive)
		if err == nil {
			err = lock.Unlock()
		}
		got <- err
	}()
	for _, lock := range []*folder.Lock{shared, again} {
		if err := lock.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-got; err != nil {
		t.Errorf("the waiting one: %v", err)
	}
	held, err := s.TryLock(Image, "x", folder.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := s.Lock(ctx, Image, "x", folder.Shared); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting with a deadline: %v", err)
	}
}

func TestTwoWaysToAStateFolderAreOnePlace(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	before, err := Locate(filepath.Join(dir, "real", "deep"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "real", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	after, err := Locate(filepath.Join(dir, "link", "deep"), "")
	if err != nil || before != after {
		t.Errorf("%v and %v, %v", before, after, err)
	}
	if len(after.Tag) != 8 || after.Run != "/run/mycompose/"+after.Tag {
		t.Errorf("tag %q, run %q", after.Tag, after.Run)
	}
}

func TestContentsAreKeptOnceByDigest(t *testing.T) {
	s := opened(t)
	digest, err := s.PutContent([]byte("secret"), Cached)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.PutContent([]byte("secret"), Cached); err != nil || again != digest {
		t.Errorf("again: %s, %v", again, err)
	}
	info, err := os.Stat(filepath.Join(s.State, "contents", digest))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info, err)
	}
	if got, err := s.Content(digest); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	if all, err := s.Contents(); err != nil || len(all) != 1 {
		t.Errorf("all: %v, %v", all, err)
	}
	for range 2 {
		if err := s.DeleteContent(digest); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Content("../format"); err == nil {
		t.Error("a path was taken for a digest")
	}
}
