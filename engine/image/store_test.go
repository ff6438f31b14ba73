package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/store"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	place, err := store.Locate(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	objects, err := store.Open(place)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.PrepareRun(place); err != nil {
		t.Fatal(err)
	}
	return NewStore(objects)
}

func digestOf(hex string) string { return "sha256:" + strings.Repeat(hex, 64/len(hex)) }

func put(t *testing.T, s *Store, digest string, names ...string) {
	t.Helper()
	r := Record{Digest: digest, ConfigDigest: digestOf("c0"), Layers: []Layer{{Folder: "builder/a"}}}
	var all []Name
	for _, n := range names {
		all = append(all, Name{Reference: n})
	}
	if err := s.Put(t.Context(), r, all...); err != nil {
		t.Fatal(err)
	}
}

func nobody(string) ([]string, error) { return nil, nil }

func TestFind(t *testing.T) {
	s := newStore(t)
	a, b := digestOf("ab12"), digestOf("ab34")
	put(t, s, a, "redis:alpine", "me/app")
	put(t, s, b)
	for word, want := range map[string]string{
		"redis:alpine": a, "docker.io/library/redis:alpine": a, "me/app:latest": a,
		a: a, strings.TrimPrefix(a, "sha256:"): a, "ab12ab": a, "sha256:ab34": b, b: b,
	} {
		r, _, err := s.Find(word)
		if err != nil || r.Digest != want {
			t.Errorf("Find(%q) = %s, %v; want %s", word, r.Digest, err, want)
		}
	}
	for _, word := range []string{"redis", "other", "ffff", digestOf("ff"), "ab", "no such!"} {
		if r, _, err := s.Find(word); err == nil {
			t.Errorf("Find(%q) = %s, want an error", word, r.Digest)
		}
	}
	if _, _, err := s.Find("c0c0c0"); err == nil || !strings.Contains(err.Error(), "ambiguous") {
		t.Errorf("an ambiguous id gives %v", err)
	}
}

func TestPutMovesAName(t *testing.T) {
	s := newStore(t)
	a, b := digestOf("aa"), digestOf("bb")
	put(t, s, a, "app")
	put(t, s, b, "app")
	r, name, err := s.Find("app")
	if err != nil || r.Digest != b || name.Digest != b {
		t.Errorf("app is %s, %v; want %s", r.Digest, err, b)
	}
	list, err := s.List()
	if err != nil || len(list) != 2 || len(list[1].Names) != 0 || list[1].Record.Digest != a {
		t.Errorf("list %+v, %v; want the nameless one last", list, err)
	}
	unnamed, err := s.Unnamed()
	if err != nil || len(unnamed) != 1 || unnamed[0] != a {
		t.Errorf("unnamed %v, %v", unnamed, err)
	}
}

// A torn name is made anew from the records: it is that of the image that it was
// given to last, and a name that was taken away stays away.
func TestATornNameIsMadeAnew(t *testing.T) {
	a, b := digestOf("ab12"), digestOf("ab34")
	for _, road := range []string{"by a look-up", "by a list"} {
		s := newStore(t)
		put(t, s, a, "imported", "gone", "kept")
		put(t, s, b, "imported")
		put(t, s, b, "second")
		if _, err := s.Remove(t.Context(), "gone", false, nobody); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(s.objects.State, nameKind.Folder, nameFile("docker.io/library/imported:latest")+".json")
		if err := os.Truncate(file, 30); err != nil {
			t.Fatal(err)
		}
		if road == "by a list" {
			all, err := s.List()
			if len(store.Torn(err)) != 1 || len(all) != 2 || len(all[0].Names) != 2 {
				t.Errorf("the list: %v, %v", all, err)
			}
		}
		if r, name, err := s.Find("imported"); err != nil || r.Digest != b || name.Digest != b {
			t.Errorf("%s: %s, %v, %v", road, r.Digest, name, err)
		}
		if _, _, err := s.Find("gone"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: a name that was taken away: %v", road, err)
		}
	}
}

func TestPutRefusesABadRecord(t *testing.T) {
	s := newStore(t)
	for _, r := range []Record{
		{}, {Digest: "sha256:../../x"}, {Digest: digestOf("aa"), Layers: []Layer{{}}},
		{Digest: digestOf("aa"), Layers: []Layer{{Folder: "../outside"}}},
	} {
		if err := s.Put(t.Context(), r); err == nil {
			t.Errorf("the record %+v was stored", r)
		}
	}
	if err := s.Put(t.Context(), Record{Digest: digestOf("aa")}, Name{Reference: "Bad Name"}); !errors.Is(err, ErrReference) {
		t.Errorf("a bad name gives %v", err)
	}
}

func TestRemove(t *testing.T) {
	s := newStore(t)
	a := digestOf("aa")
	put(t, s, a, "one", "two")
	got, err := s.Remove(t.Context(), "one", false, nobody)
	if err != nil || len(got.Untagged) != 1 || got.Deleted != "" {
		t.Fatalf("removed %+v, %v; want only the name", got, err)
	}
	used := func(string) ([]string, error) { return []string{"shop-web-1"}, nil }
	if _, err := s.Remove(t.Context(), "two", true, used); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "shop-web-1") {
		t.Errorf("an image in use: %v", err)
	}
	if _, err := s.Record(a); err != nil {
		t.Errorf("the record is gone: %v", err)
	}
	got, err = s.Remove(t.Context(), "two", false, nobody)
	if err != nil || got.Deleted != a || got.Untagged[0] != "docker.io/library/two:latest" {
		t.Errorf("removed %+v, %v", got, err)
	}
	if _, err := s.Remove(t.Context(), "two", false, nobody); !errors.Is(err, ErrNotFound) {
		t.Errorf("a second remove gives %v", err)
	}
	put(t, s, a, "one", "two")
	if _, err := s.Remove(t.Context(), a, false, nobody); err == nil || !strings.Contains(err.Error(), "several names") {
		t.Errorf("removal by digest without force: %v", err)
	}
	if got, err := s.Remove(t.Context(), a, true, nobody); err != nil || len(got.Untagged) != 2 || got.Deleted != a {
		t.Errorf("removal by force: %+v, %v", got, err)
	}
}

func TestRemoveWaitsForAHold(t *testing.T) {
	s := newStore(t)
	a := digestOf("aa")
	put(t, s, a, "one")
	_, release, err := s.Hold(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Remove(ctx, "one", false, nobody); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("removal during a hold gives %v", err)
	}
	release()
	if _, err := s.Remove(t.Context(), "one", false, nobody); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Hold(t.Context(), a); !errors.Is(err, ErrNotFound) {
		t.Errorf("a hold of nothing gives %v", err)
	}
}

func TestLowerDirsAreTopmostFirst(t *testing.T) {
	r := Record{Layers: []Layer{{Folder: "builder/1"}, {Folder: "/elsewhere/2"}}}
	got := strings.Join(r.LowerDirs("/state"), " ")
	if want := "/elsewhere/2 /state/builder/1"; got != want {
		t.Errorf("LowerDirs = %q, want %q", got, want)
	}
}
