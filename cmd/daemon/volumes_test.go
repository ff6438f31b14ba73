package daemon

import (
	"context"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
)

// Between the removal of a container and the making of its successor nobody names
// its anonymous volumes.
func TestPruneLeavesVolumesOfAProjectThatIsWorkedOn(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	release := make(chan struct{})
	m.steps[client.Up] = func(context.Context, Work, func(event.Event)) event.Result { <-release; return event.Result{} }
	start(t, place, m, "a")
	c := dial(t, place, "a")
	up := submit(t, c, client.Up)
	pruned := func(p client.VolumePrune) string {
		gone, err := c.PruneVolumes(patient(t), p)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(gone, " ")
	}
	if got := pruned(client.VolumePrune{}); got != "of-idle" {
		t.Errorf("during an up of shop went %q", got)
	}
	close(release)
	follow(t, c, up.ID)
	eventually(t, "all may go", func() bool { return pruned(client.VolumePrune{}) == "of-idle of-shop" })
	if got := pruned(client.VolumePrune{Project: "shop"}); got != "of-shop" {
		t.Errorf("of project shop went %q", got)
	}
}
