package engine

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/wire"
)

// wiring is a container's network while it is made. The rest of the container can be
// made meanwhile, all but its program:
//
//	engine   namespace ── link, addresses, rules, names ── gate opens
//	              └────▶ recipe                                │
//	monitor               mounts, init ────────────────────────┴─▶ program
type wiring struct {
	// namespace gives a descriptor of it, for the receiver to close; it is closed
	// without one if none was made.
	namespace chan *os.File
	made      chan error
}

// beginWiring has the network made. turn is held, and stays so until wait has
// returned.
func (e *Engine) beginWiring(ctx context.Context, l *life) *wiring {
	w := &wiring{namespace: make(chan *os.File, 1), made: make(chan error, 1)}
	go func() {
		defer close(w.namespace)
		w.made <- e.acquireNetwork(ctx, l, w.show)
	}()
	return w
}

// show passes the namespace on. If it cannot be duplicated nobody is ahead of it.
func (w *wiring) show(ns *os.File) {
	fd, err := unix.FcntlInt(ns.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		w.namespace <- os.NewFile(uintptr(fd), "netns")
	}
}

// wait waits until the network is there, or cannot be.
func (w *wiring) wait() error {
	err := <-w.made
	for ns := range w.namespace { // that nobody has wanted
		ns.Close()
	}
	return err
}

// mayOvertake reports whether all but the program may be made beside the network: it
// is one of ours and not there yet, no setting of the recipe is meant for its links,
// and the monitor heeds a gate. Where every processor has a start of its own to do
// there is nothing to win. turn is held.
func (e *Engine) mayOvertake(l *life) bool {
	if !l.held.gated || !bridged(l.rec.Blueprint) || e.spares.underWay() >= runtime.GOMAXPROCS(0) {
		return false
	}
	for name := range l.rec.Blueprint.Sysctls {
		if strings.HasPrefix(name, "net.") {
			return false
		}
	}
	return true
}

// launchBeside launches a container whose network is still being made. Its program
// is executed once that is there. turn is held.
func (e *Engine) launchBeside(l *life, g ground, w *wiring) (started wire.MonitorStarted, err error) {
	ns := <-w.namespace
	if ns == nil {
		if err := w.wait(); err != nil {
			return started, err
		}
		return e.launch(l, g, l.held.netns, nil)
	}
	defer ns.Close()
	var gate [2]int
	if err := unix.Pipe2(gate[:], unix.O_CLOEXEC); err != nil {
		_ = w.wait() // what is wrong is the lack of descriptors
		return started, fmt.Errorf("cannot make a pipe for its gate: %w", err)
	}
	read, write := os.NewFile(uintptr(gate[0]), "gate"), os.NewFile(uintptr(gate[1]), "gate")
	defer read.Close()
	wired := make(chan error, 1)
	go func() {
		err := w.wait()
		fault.Point("engine:gate")
		if err == nil {
			_, _ = write.Write([]byte{1}) // fails if the monitor is gone, which launch sees
		}
		write.Close()
		wired <- err
	}()
	started, err = e.launch(l, g, ns, read)
	if wireErr := <-wired; wireErr != nil {
		return started, wireErr // and so the start was called off
	}
	return started, err
}
