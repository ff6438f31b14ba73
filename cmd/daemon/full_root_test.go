package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/store"
)

// On a full disk nothing begins that would need it, but what gives back or takes
// no more is done:
// it could not be resumed, and leaves no half of its record.
func TestAFullDiskDoesNotKeepContainersUp(t *testing.T) {
	o, m := tightOperations(t)
	fill(t, filepath.Join(o.records.store.State, "filler"))
	onlyGivesBack(t, o, m, unix.ENOSPC)
}

// So is it on one that has become read-only.
func TestAReadOnlyDiskDoesNotKeepContainersUp(t *testing.T) {
	o, m := tightOperations(t)
	if err := unix.Mount("", o.records.store.State, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	onlyGivesBack(t, o, m, unix.EROFS)
}

// tightOperations are those of a state folder of 128 KiB.
func tightOperations(t *testing.T) (*operations, *machine) {
	kerneltest.NeedRoot(t)
	place := newPlace(t)
	if err := os.MkdirAll(place.State, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", place.State, "tmpfs", 0, "size=128k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(place.State, 0); err != nil {
			t.Error(err)
		}
	})
	s, err := store.Open(place)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine()
	o := newOperations(t.Context(), records{s}, &inputs{store: s, contents: m}, m, slog.New(slog.DiscardHandler))
	t.Cleanup(o.running.Wait) // t's context has ended then
	return o, m
}

// onlyGivesBack: on a disk that takes nothing more for a cause.
func onlyGivesBack(t *testing.T, o *operations, m *machine, cause error) {
	t.Helper()
	if _, err := o.submit(operationOf(client.Up)); !errors.Is(err, cause) {
		t.Errorf("up: %v", err)
	}
	kinds := []client.Kind{
		client.Pause, client.Unpause, client.Restart, client.Stop, client.Start, client.Kill, client.Remove, client.Down,
	}
	for _, kind := range kinds {
		op, err := o.submit(operationOf(kind))
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		kerneltest.Eventually(t, time.Minute, func() error {
			if !op.ended() {
				return fmt.Errorf("%s does not end", kind)
			}
			return nil
		})
	}
	if len(m.runs) != len(kinds) {
		t.Errorf("done were %v", m.runs)
	}
	if left, err := o.records.all(); err != nil || len(left) != 0 {
		t.Errorf("records %v, %v", left, err)
	}
}

// fill writes a file until its disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}
