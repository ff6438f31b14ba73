package engine

import (
	"os"
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

const (
	// spareCount is how many monitors stand ready while nothing is started: an
	// up of one or two services finds its monitors there. Each has 1 MB.
	spareCount = 2
	// spareRest is how long there must have been no start before one is made: its
	// own start costs two milliseconds, which an up of many has not to spare.
	spareRest = 30 * time.Millisecond
	// spareRetry is that wait after one could not be made.
	spareRetry = 5 * time.Second
	// spareFirst is that wait when the engine has just been opened.
	spareFirst = 500 * time.Millisecond
)

// spares are monitors without a container.
//
//	start begins ─▶ one is taken ─▶ start ends ──spareRest──▶ made anew
type spares struct {
	place         folder.Place
	binary, small *os.File

	mu     sync.Mutex // guards what follows
	ready  []*wire.Spare
	coming int // that are being made
	starts int // that are under way
	timer  *time.Timer
	closed bool
	making sync.WaitGroup
}

// open has them made, once whoever has started us has got what it wants.
func (s *spares) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest(spareFirst)
}

// begin and end are around each start of a container.
func (s *spares) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts++
	if s.timer != nil {
		s.timer.Stop()
	}
}

func (s *spares) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts--
	s.rest(spareRest)
}

// underWay is how many starts are.
func (s *spares) underWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// rest has them made after a time. mu is held.
func (s *spares) rest(after time.Duration) {
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.wanted() {
		s.timer = time.AfterFunc(after, s.make)
	}
}

// wanted reports whether one is to be made. mu is held.
func (s *spares) wanted() bool {
	return !s.closed && s.starts == 0 && len(s.ready)+s.coming < spareCount
}

// make makes one, and the next after a further rest. One that cannot be made is
// not missed: the start of a container says what is wrong.
func (s *spares) make() {
	s.mu.Lock()
	if !s.wanted() {
		s.mu.Unlock()
		return
	}
	s.coming++
	s.making.Add(1)
	s.mu.Unlock()
	defer s.making.Done()
	spare, err := wire.StartSpare(s.place, s.binary, s.small)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming--
	if err != nil {
		s.rest(spareRetry)
		return
	}
	s.ready = append(s.ready, spare) // close waits for making
	s.rest(spareRest)
}

// take takes one, nil if there is none.
func (s *spares) take() *wire.Spare {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return nil
	}
	spare := s.ready[0]
	s.ready = s.ready[1:]
	return spare
}

// become makes one the monitor of a container, or starts a monitor. ended is
// closed when that has ended, which nobody waits for: it outlives us. One that
// lives already gives wire.ErrMonitorThere.
func (s *spares) become(id string) (ended <-chan struct{}, err error) {
	held, err := wire.HoldMonitor(s.place, id)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	for spare := s.take(); spare != nil; spare = s.take() {
		if ended, err = spare.Become(held); err == nil {
			return ended, nil
		}
		spare.End()
	}
	process, err := held.Start(s.binary, s.small)
	if err != nil {
		return nil, err
	}
	gone := make(chan struct{})
	go func() { // it is our child until we die; nothing of ours is touched here
		defer close(gone)
		_, _ = wire.Wait(process) // how it ended is told by its exit record
	}()
	return gone, nil
}

// close ends them.
func (s *spares) close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.making.Wait()
	for spare := s.take(); spare != nil; spare = s.take() {
		spare.End()
	}
}
