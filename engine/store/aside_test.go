package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestADamagedObjectIsSetAsideAndNamed(t *testing.T) {
	whole, err := encode(1, thing{"hello"})
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte{}, whole...)
	flipped[len(flipped)-3] ^= 1
	for name, raw := range map[string][]byte{
		"empty": {}, "half": whole[:len(whole)/2], "without its end": whole[:len(whole)-1],
		"one bit flipped": flipped, "foreign": []byte("{}\n"),
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t)
			path := filepath.Join(s.State, "images", "x.json")
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.Put(Image, "y", thing{"good"}, Cached); err != nil {
				t.Fatal(err)
			}
			all, err := Load[thing](s, Image)
			var torn *TornError
			if !errors.As(err, &torn) || torn.Name != "x" || torn.SetAside != path+".torn" {
				t.Fatalf("error %v", err)
			}
			if len(all) != 1 || all["y"].Text != "good" {
				t.Errorf("the others: %v", all)
			}
			if remains, err := os.ReadFile(torn.SetAside); err != nil || string(remains) != string(raw) {
				t.Errorf("remains %q, %v", remains, err)
			}
			if _, err := Load[thing](s, Image); err != nil {
				t.Errorf("after it was set aside: %v", err)
			}
		})
	}
}

// A folder where an object should be is damage too: it is set aside by who reads
// and by who writes.
func TestAFolderInAnObjectsPlaceIsSetAside(t *testing.T) {
	s := opened(t)
	digest, err := s.PutContent([]byte("hello"), Cached)
	if err != nil {
		t.Fatal(err)
	}
	object, content := filepath.Join(s.State, "images", "x.json"), filepath.Join(s.State, "contents", digest)
	block := func() {
		t.Helper()
		for _, path := range []string{object, content} {
			if err := errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Join(path, "inner"), 0o700)); err != nil {
				t.Fatal(err)
			}
		}
	}
	block()
	_, err = s.Content(digest)
	if !errors.As(err, new(*TornError)) || !errors.As(s.Get(Image, "x", &thing{}), new(*TornError)) {
		t.Errorf("read: %v", err)
	}
	block()
	_, err = s.PutContent([]byte("hello"), Cached)
	if err = errors.Join(err, s.Put(Image, "x", thing{"good"}, Cached)); err != nil {
		t.Fatal(err)
	}
	var got thing
	if err := s.Get(Image, "x", &got); err != nil || got.Text != "good" {
		t.Errorf("after it was written: %+v, %v", got, err)
	}
	if n := s.Notices(); len(n) != 4 {
		t.Errorf("notices %q", n)
	}
}

// A damaged file format costs nothing in a tree of ours, and is told; a folder of
// somebody else that has such a file is left alone.
func TestADamagedFormatIsSetAside(t *testing.T) {
	s := opened(t)
	path := filepath.Join(s.State, "format")
	for _, text := range []string{"mycompose", "mycompose state ", "\x00\x00\x00"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Open(s.Place)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if n := again.Notices(); len(n) == 0 || !strings.Contains(n[0], "format was damaged") {
			t.Errorf("%q: notices %q", text, n)
		}
	}
	if err := errors.Join(os.WriteFile(path, []byte("a4\n"), 0o600), os.Remove(filepath.Join(s.State, "builder"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.Place); err == nil || !strings.Contains(err.Error(), `says "a4"`) {
		t.Errorf("a folder of somebody else: %v", err)
	}
}
