package store

import (
	"errors"
	"testing"
)

func TestSettleSyncsOnlyWhatChanged(t *testing.T) {
	s := opened(t)
	for _, step := range []struct {
		what string
		do   func() error
		want uint64
	}{
		{"at first", func() error { return nil }, 1},
		{"nothing", func() error { return nil }, 0},
		{"volatile", func() error { return s.Put(Image, "x", thing{}, Volatile) }, 0},
		{"cached", func() error { return s.Put(Image, "x", thing{}, Cached) }, 1},
		{"a content", func() error { _, err := s.PutContent([]byte("x"), Cached); return err }, 1},
		{"a delete", func() error { return s.Delete(Image, "x") }, 1},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		before := s.Syncs()
		if err := s.Settle(); err != nil {
			t.Fatal(err)
		}
		if got := s.Syncs() - before; got != step.want {
			t.Errorf("%s: %d syncs, want %d", step.what, got, step.want)
		}
	}
}

// What others wrote, as the builder its layers, is synced though the store has
// written nothing; a sync that began after one had asked does for him.
func TestFlushSyncsWhatOthersWrote(t *testing.T) {
	s := opened(t)
	before := s.Syncs()
	for range 2 {
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Syncs() - before; n != 2 {
		t.Errorf("%d syncs, want 2", n)
	}
	asked := s.begun.Load()
	if err := errors.Join(s.flushSince(asked), s.flushSince(asked)); err != nil {
		t.Fatal(err)
	}
	if n := s.Syncs() - before; n != 3 {
		t.Errorf("%d syncs, want 3: the third does for who had asked with it", n)
	}
}
