package engine

import (
	"fmt"
	"sync"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestManyStartAndStopAtOnce(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	syncs := r.engine.store.Syncs()
	const many = 20
	var group sync.WaitGroup
	addrs := make([]string, many)
	for i := range many {
		group.Go(func() {
			b := on(shell(fmt.Sprintf("c-%d", i), forever), spec.Attachment{Network: "n", LeaseKey: fmt.Sprintf("c-%d", i)})
			b.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
			c, err := r.engine.CreateContainer(t.Context(), b)
			if err == nil {
				err = r.engine.StartContainer(t.Context(), c.Blueprint.ID)
			}
			if err != nil {
				t.Error(err)
				return
			}
			addrs[i] = r.status(c.Blueprint.ID).Endpoints[0].IPv4
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for _, a := range addrs {
		if seen[a] {
			t.Errorf("address %s was given twice", a)
		}
		seen[a] = true
	}
	if got := r.engine.store.Syncs() - syncs; got > 0 {
		t.Errorf("%d calls of fsync by the engine itself", got)
	}
	all, err := r.engine.Containers(t.Context(), "t")
	if err != nil || len(all) != many {
		t.Fatalf("%d containers, %v", len(all), err)
	}
	for _, c := range all {
		group.Go(func() {
			if err := r.engine.StopContainer(t.Context(), c.Blueprint.ID, spec.Stop{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestStartStopAndRemoveOfOneContainerAtOnce(t *testing.T) {
	r := newRig(t)
	id := r.create(shell("one", forever))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				_ = r.engine.StartContainer(t.Context(), id)
				_ = r.engine.StopContainer(t.Context(), id, spec.Stop{})
			}
		})
	}
	group.Wait()
	if s := r.status(id); s.Up() {
		t.Errorf("status %+v", s)
	}
	for range 4 {
		group.Go(func() {
			if err := r.engine.RemoveContainer(t.Context(), id, spec.Remove{Force: true}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
