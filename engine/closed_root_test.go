package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

// A monitor that is being started has, until it executes its program, all that was
// open here when it was forked. A port that was let go of meanwhile can be had again.
func TestAPortThatAChildHasForAMomentIsWaitedFor(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "a"})
	b := on(shell("web", forever), spec.Attachment{Network: "a"})
	b.Init = true
	b.Ports = []spec.Port{{HostIP: "127.0.0.1", HostPort: uint16(kerneltest.FreePorts(t, 1)), ContainerPort: 80, Protocol: "tcp"}}
	id := r.start(b)
	l, err := r.engine.life(id)
	if err != nil {
		t.Fatal(err)
	}
	l.turn.Lock()
	socket, err := wire.Duplicate(l.held.sockets[socketName("tcp", netip.MustParseAddr("127.0.0.1"), b.Ports[0].HostPort)])
	l.turn.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	none := time.Duration(0)
	if err := r.engine.StopContainer(t.Context(), id, spec.Stop{Grace: &none}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { socket.Close() })
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Error(err)
	}
}
