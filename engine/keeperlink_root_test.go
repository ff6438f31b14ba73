package engine

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/wire"
)

// keeperPID asks the keeper for its pid.
func keeperPID(t *testing.T, k *KeeperLink) int {
	t.Helper()
	var answer wire.KeeperStatusAnswer
	kerneltest.Eventually(t, patience, func() error {
		k.mu.Lock()
		peer := k.peer
		k.mu.Unlock()
		if peer == nil {
			return wire.ErrClosed
		}
		_, err := peer.Call(t.Context(), wire.KeeperStatus, struct{}{}, &answer)
		return err
	})
	return answer.PID
}

func TestSocketsOutliveTheKeeperAndTheLink(t *testing.T) {
	r := newRig(t)
	if err := os.Remove(r.place.Stopped()); err != nil {
		t.Fatal(err)
	}
	binary, err := os.Open("/bin/true") // a daemon that ends at once
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	config := wire.KeeperConfig{Place: r.place, Binary: binary, Small: r.small}
	link, err := LinkKeeper(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if err := link.Keep(t.Context(), "one", map[string]*os.File{"pipe": write}); err != nil {
		t.Fatal(err)
	}
	write.Close()
	first := keeperPID(t, link)
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	kerneltest.Eventually(t, patience, func() error {
		if keeperPID(t, link) == first {
			return wire.ErrClosed
		}
		return nil
	})
	if err := link.Close(); err != nil {
		t.Fatal(err)
	}
	if link, err = LinkKeeper(t.Context(), config, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	kept, err := link.List(t.Context())
	if err != nil || kept["one"]["pipe"] == nil {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if _, err := kept["one"]["pipe"].WriteString("x"); err != nil {
		t.Error(err)
	}
	kept["one"]["pipe"].Close()
	if err := link.Drop(context.Background(), "one"); err != nil {
		t.Fatal(err)
	}
	link.mu.Lock()
	peer := link.peer
	link.mu.Unlock()
	if _, err := peer.Call(t.Context(), wire.KeeperStop, struct{}{}, nil); err != nil {
		t.Error(err)
	}
	if err := link.Close(); err != nil {
		t.Error(err)
	}
	// All writing ends are closed: nobody keeps the pipe.
	if n, err := read.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if n, _ := read.Read(make([]byte, 2)); n != 0 {
		t.Errorf("read %d more", n)
	}
}

// A keeper that is stopped is let go on, gets what it is to keep, and holds nobody up.
func TestAStoppedKeeperHoldsNobodyUp(t *testing.T) {
	r := newRig(t)
	if err := os.Remove(r.place.Stopped()); err != nil {
		t.Fatal(err)
	}
	binary, err := os.Open("/bin/true") // a daemon that ends at once
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	config := wire.KeeperConfig{Place: r.place, Binary: binary, Small: r.small}
	link, err := LinkKeeper(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	pid := keeperPID(t, link)
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer unix.Kill(pid, unix.SIGCONT)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if err := link.Keep(t.Context(), "one", map[string]*os.File{"pipe": write}); err != nil {
		t.Errorf("it cannot be told: %v", err)
	}
	kerneltest.Eventually(t, patience, func() error {
		kept, err := link.List(t.Context())
		if err == nil && kept["one"]["pipe"] == nil {
			err = errors.New("it does not have the pipe")
		}
		for _, f := range kept["one"] {
			f.Close()
		}
		return err
	})
	link.mu.Lock()
	peer := link.peer
	link.mu.Unlock()
	if _, err := peer.Call(t.Context(), wire.KeeperStop, struct{}{}, nil); err != nil {
		t.Error(err)
	}
	if err := link.Close(); err != nil {
		t.Error(err)
	}
}
