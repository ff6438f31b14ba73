package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
)

func TestOneOperationAtATimeWritesAProject(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	release := make(chan struct{})
	m.steps[client.Restart] = func(context.Context, Work, func(event.Event)) event.Result { <-release; return event.Result{} }
	start(t, place, m, "a")
	c := dial(t, place, "a")
	first := submit(t, c, client.Restart)
	second := submit(t, c, client.Up)
	dry := operationOf(client.Up)
	dry.DryRun = true
	if err := c.StartOperation(patient(t), dry); err != nil {
		t.Fatal(err)
	}
	follow(t, c, dry.ID) // waits for nobody
	eventually(t, "both begin", func() bool { return len(m.begun()) == 2 })
	if got := slices.Sorted(slices.Values(m.begun())); !slices.Equal(got, []string{"restart", "up"}) {
		t.Errorf("began %v", got)
	}
	close(release)
	follow(t, c, first.ID)
	lines, _ := follow(t, c, second.ID)
	if !slices.Equal(lines, []string{"Project shop Waiting for restart of shop"}) {
		t.Errorf("got %q", lines)
	}
}

func TestDownCancelsARunningAndAWaitingUpAndSaysSo(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	m.steps[client.Up] = func(ctx context.Context, _ Work, _ func(event.Event)) event.Result {
		<-ctx.Done()
		return event.Result{}
	}
	start(t, place, m, "a")
	c := dial(t, place, "a")
	first, second := submit(t, c, client.Up), submit(t, c, client.Up)
	eventually(t, "the first begins", func() bool { return len(m.begun()) == 1 })
	down := submit(t, c, client.Down)
	lines, _ := follow(t, c, down.ID)
	if !slices.Contains(lines, "Project shop Canceling up of shop") {
		t.Errorf("got %q", lines)
	}
	for _, op := range []client.Operation{first, second} {
		if _, r := follow(t, c, op.ID); r.Canceled != "down" || r.ExitCode != 130 {
			t.Errorf("got %+v", r)
		}
	}
	if got := m.begun(); !slices.Equal(got, []string{"up", "down"}) {
		t.Errorf("began %v", got)
	}
}

func TestAKillCancelsWhatTakesDownAndAnotherSignalDoesNot(t *testing.T) {
	for _, kind := range []client.Kind{client.Stop, client.Down, client.Remove} {
		m, place := newMachine(), newPlace(t)
		m.steps[kind] = func(ctx context.Context, _ Work, _ func(event.Event)) event.Result {
			<-ctx.Done()
			return event.Result{}
		}
		start(t, place, m, "a")
		c := dial(t, place, "a")
		hangs := submit(t, c, kind)
		eventually(t, "it begins", func() bool { return len(m.begun()) == 1 })
		hup := operationOf(client.Kill)
		hup.Request = []byte(`{"signal":"HUP"}`)
		if err := c.StartOperation(patient(t), hup); err != nil {
			t.Fatal(err)
		}
		kill := submit(t, c, client.Kill)
		lines, _ := follow(t, c, hup.ID)
		if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "Canceling") }) {
			t.Errorf("HUP: got %q", lines)
		}
		lines, _ = follow(t, c, kill.ID)
		if want := fmt.Sprintf("Project shop Canceling %s of shop", kind); !slices.Contains(lines, want) {
			t.Errorf("got %q, want %q", lines, want)
		}
		if _, r := follow(t, c, hangs.ID); r.Canceled != "kill" || r.ExitCode != 130 {
			t.Errorf("got %+v", r)
		}
	}
}

func TestCancelIsARequestAndNotAClosedConnection(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	m.steps[client.Up] = func(ctx context.Context, _ Work, _ func(event.Event)) event.Result {
		<-ctx.Done()
		return event.Result{}
	}
	start(t, place, m, "a")
	c := dial(t, place, "a")
	op := submit(t, c, client.Up)
	ctx, leave := context.WithCancel(patient(t))
	leave()
	if _, err := c.Follow(ctx, op.ID, func(event.Event) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if s, err := c.Operation(patient(t), op.ID); err != nil || s.Result != nil {
		t.Errorf("got %+v, %v", s.Result, err)
	}
	if err := c.Cancel(patient(t), op.ID, "Ctrl-C"); err != nil {
		t.Fatal(err)
	}
	if _, r := follow(t, c, op.ID); r.Canceled != "Ctrl-C" {
		t.Errorf("got %+v", r)
	}
}
