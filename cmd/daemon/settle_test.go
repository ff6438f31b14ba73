package daemon

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/store"
)

// What a command promises is on the disk when it says so; a restart by a watch
// promises nothing, and waits for no disk.
func TestARestartByAWatchIsNotSyncedToDisk(t *testing.T) {
	s, err := store.Open(newPlace(t))
	if err != nil {
		t.Fatal(err)
	}
	o := newOperations(t.Context(), records{s}, &inputs{store: s, contents: newMachine()}, newMachine(), slog.New(slog.DiscardHandler))
	t.Cleanup(o.running.Wait)
	data, err := json.Marshal(origin{})
	if err != nil {
		t.Fatal(err)
	}
	byWatch := func(kind compose.Kind, request any) func() error {
		return func() error {
			w := compose.Watching{Project: "shop", Origin: data}
			_, err := watchedOperations{o}.Do(patient(t), w, kind, request, func(event.Event) {})
			return err
		}
	}
	for _, test := range []struct {
		name  string
		do    func() error
		syncs uint64
	}{
		{"a restart by a watch", byWatch(compose.Restart, compose.RestartRequest{}), 0},
		{"a rebuild by a watch", byWatch(compose.Up, compose.UpRequest{}), 1},
		{"a restart by a command", func() error {
			op, err := o.submit(operationOf(client.Restart))
			if err == nil {
				_, err = op.wait(patient(t))
			}
			return err
		}, 1},
	} {
		if err := s.Put(store.Volume, "v", struct{}{}, store.Cached); err != nil {
			t.Fatal(err)
		}
		before := s.Syncs()
		if err := test.do(); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if n := s.Syncs() - before; n != test.syncs {
			t.Errorf("%s synced %d times, want %d", test.name, n, test.syncs)
		}
	}
}

// What an operation has told is forgotten a minute later, and its memory given back.
func TestMemoryIsGivenBackWhenAnOperationIsForgotten(t *testing.T) {
	s, err := store.Open(newPlace(t))
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine()
	o := newOperations(t.Context(), records{s}, &inputs{store: s, contents: m}, m, slog.New(slog.DiscardHandler))
	freed := make(chan struct{}, 1)
	o.quiet = newQuiet(func() { freed <- struct{}{} })
	o.quiet.stop()
	o.forgetLater(newOperation(client.Operation{ID: client.NewID(), Kind: client.Up, Project: "shop"}, nil, nil, o.log), time.Millisecond)
	select {
	case <-freed:
	case <-time.After(time.Minute):
		t.Error("nothing is given back")
	}
	o.quiet.stop()
	o.close()
}
