package daemon

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestErrorsKeepTheirKindOverTheSocket(t *testing.T) {
	place := newPlace(t)
	start(t, place, newMachine(), "a")
	c := dial(t, place, "a")
	if err := c.RemoveVolume(patient(t), "v"); !errors.Is(err, spec.ErrInUse) || !strings.Contains(err.Error(), "used by shop-web-1") {
		t.Errorf("got %v", err)
	}
	if err := c.RemoveVolume(patient(t), "w"); !errors.Is(err, spec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := c.StartOperation(patient(t), client.Operation{ID: "../../etc", Kind: client.Up}); !errors.Is(err, spec.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestAnIdleDaemonOfAnotherBuildIsReplacedAndABusyOneServes(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	release := make(chan struct{})
	m.steps[client.Restart] = func(context.Context, Work, func(event.Event)) event.Result { <-release; return event.Result{} }
	old := start(t, place, m, "old")
	c := dial(t, place, "new")
	replaced := 0
	replace := func(context.Context) error {
		replaced++
		old.stop()
		start(t, place, m, "new")
		return nil
	}
	op := submit(t, c, client.Restart)
	if err := c.Greet(patient(t), replace, func(string) {}); err != nil || replaced != 0 {
		t.Errorf("a busy daemon was replaced %d times, %v", replaced, err)
	}
	close(release)
	follow(t, c, op.ID)
	eventually(t, "it is idle", func() bool {
		i, err := c.Info(patient(t))
		return err == nil && len(i.Operations) == 0
	})
	if err := c.Greet(patient(t), replace, func(string) {}); err != nil || replaced != 1 {
		t.Errorf("replaced %d times, %v", replaced, err)
	}
	if c.Peer().Build != "new" {
		t.Errorf("got %+v", c.Peer())
	}
}

func TestTheFirstAnswerIsTheGreeting(t *testing.T) {
	for _, first := range []string{"GET", "POST"} {
		m, place := newMachine(), newPlace(t)
		m.add("shop-web-1", "a", spec.StateRunning)
		m.containers[0].Blueprint.Labels = map[string]string{labelService: "web"}
		old := start(t, place, m, "old")
		replaced := 0
		c := client.New(client.Config{
			RunDir: place.Run, Build: "new", Ensure: func(context.Context) error { return nil },
			Waiting: func(text string) { t.Errorf("waits for %s", text) },
			Replace: func(context.Context) error {
				replaced++
				old.stop()
				start(t, place, m, "new")
				return nil
			},
		})
		defer c.Close()
		if first == "POST" {
			if _, r := follow(t, c, submit(t, c, client.Restart).ID); r.Error != "" || !slices.Equal(m.begun(), []string{"restart"}) {
				t.Errorf("got %+v after %v", r, m.begun())
			}
		}
		for service, n := range map[string]int{"web": 1, "nosuch": 0} {
			if got, err := c.ServiceContainers(patient(t), "", service); err != nil || len(got) != n {
				t.Errorf("%s: %v of %s, %v", first, got, service, err)
			}
		}
		if replaced != 1 || c.Peer().Build != "new" {
			t.Errorf("%s: replaced %d times, served by %+v", first, replaced, c.Peer())
		}
	}
}

func TestTheSocketIsTheOwnersOnly(t *testing.T) {
	place := newPlace(t)
	start(t, place, newMachine(), "a")
	c := dial(t, place, "a")
	if _, err := c.Info(patient(t)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(place.Socket())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket is %v, %v", info, err)
	}
	if info, err = os.Stat(place.Run); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder is %v, %v", info, err)
	}
}

func TestSystemStopRefusesWhileContainersRun(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	m.add("shop-a-1", "a", spec.StateRunning)
	start(t, place, m, "a")
	c := dial(t, place, "a")
	a, err := c.SystemStop(patient(t), client.SystemStop{})
	if err != nil || !slices.Equal(a.Running, []string{"shop-a-1"}) {
		t.Errorf("got %+v, %v", a, err)
	}
	a, err = c.SystemStop(patient(t), client.SystemStop{All: true})
	if err != nil || !slices.Equal(a.Stopped, []string{"shop-a-1"}) || !slices.Equal(m.begun(), []string{"stop"}) {
		t.Errorf("got %+v, %v after %v", a, err, m.begun())
	}
}
