package read

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/logs"
)

func TestAFollowerGetsEveryLineOnceThroughRotationAndNewWriters(t *testing.T) {
	const lines = 3000
	dir := t.TempDir()
	options := logs.Options{Dir: dir, MaxSize: 8 << 10, MaxFiles: 1000}
	done := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		defer close(done)
		w, err := logs.Open(options)
		for i := range lines {
			if err != nil {
				t.Error(err)
				return
			}
			// In two parts, so that a reader sees halves.
			text := fmt.Sprintf("line %d\n", i)
			err = errors.Join(w.Write(logs.Stdout, time.Now(), []byte(text[:3])),
				w.Write(logs.Stdout, time.Now(), []byte(text[3:])))
			if i%500 == 499 && err == nil { // recreated, its last record torn
				err = w.Close()
				if err == nil {
					err = tear(dir)
				}
				if err == nil {
					w, err = logs.Open(options)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	r, err := Open(dir, Options{Follow: true, Done: done})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	next := 0
	for {
		line, err := r.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("line %d", next); string(line.Data) != want || line.Partial {
			t.Fatalf("got %q, want %q", line.Data, want)
		}
		next++
	}
	writing.Wait()
	if next != lines {
		t.Errorf("%d of %d lines", next, lines)
	}
}

// tear appends the half of a record, as a killed writer does.
func tear(dir string) error {
	numbers, err := logs.Numbers(dir)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, logs.FileName(numbers[len(numbers)-1])), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte("\x10\x00\x00\x00\x01\x00\x00\x00half"))
	return errors.Join(err, f.Close())
}

func TestAFollowerEndsWhenItsFolderGoesOrItsContextEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	w := writer(t, logs.Options{Dir: dir})
	write(t, w, logs.Stdout, 1, "last words\n")
	r, err := Open(dir, Options{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	line, err := r.Next(context.Background())
	if err != nil || string(line.Data) != "last words" {
		t.Fatalf("%q, %v", line.Data, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("after its context: %v", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(context.Background()); err != io.EOF {
		t.Errorf("after its folder: %v", err)
	}
}

func TestFollowingFromNowLeavesOutWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	w := writer(t, logs.Options{Dir: dir})
	write(t, w, logs.Stdout, 1, "before\nhalf")
	done := make(chan struct{})
	r, err := Open(dir, Options{Follow: true, Tail: None, Done: done})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	write(t, w, logs.Stdout, 2, " of it\nafter\n")
	close(done)
	line, err := r.Next(context.Background())
	if err != nil || show(line) != "1 2 after" {
		t.Errorf("got %q, %v", show(line), err)
	}
}

// What comes while a log is followed is newer than any time that had passed.
func TestAFollowerShowsWhatIsWrittenAfterTheClockWasSetBack(t *testing.T) {
	dir := t.TempDir()
	w := writer(t, logs.Options{Dir: dir})
	now := time.Now()
	write(t, w, logs.Stdout, now.Add(-time.Hour).UnixNano(), "old\nhalf")
	done := make(chan struct{})
	r, err := Open(dir, Options{Since: now.Add(-time.Minute), Follow: true, Done: done})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := make(chan string, 10)
	go func() {
		defer close(lines)
		for {
			line, err := r.Next(context.Background())
			if err != nil {
				return
			}
			lines <- string(line.Data)
		}
	}()
	// It has read what was there once it waits: this line comes after that.
	write(t, w, logs.Stderr, now.UnixNano(), "mark\n")
	if got := <-lines; got != "mark" {
		t.Fatalf("got %q", got)
	}
	back := now.Add(-10 * time.Hour).UnixNano()
	write(t, w, logs.Stdout, back, " a line\nnew\n")
	close(done)
	var got []string
	for line := range lines {
		got = append(got, line)
	}
	equal(t, got, "new") // the one that began before does not count as new
}
