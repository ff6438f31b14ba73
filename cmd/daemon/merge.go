package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

// merge joins sources by time. A line is handed out when no other source can
// have an earlier one: each has shown its next line, has ended, or (following)
// has been silent for a moment.
//
//	source 0  ──line──line──▶ head ┐
//	source 1  ──line───────▶ head ├─▶ the earliest head
//	source 2  (silent)       none ┘
type merge struct {
	// wake has room for one: something came.
	wake chan struct{}

	mu      sync.Mutex // guards sources
	sources []*logSource
}

// waiting is how many items of a source may wait for the client: each holds up
// to one record of the log.
const waiting = 8

// silence is how long a source is waited for before others overtake it.
const silence = 20 * time.Millisecond

// logSource is one container's lines on their way.
type logSource struct {
	number uint16
	lines  chan item
	wake   chan struct{}

	// What follows belongs to take.
	head   *item
	ended  bool
	silent bool
}

// item is some lines of one time, or the end of a source.
type item struct {
	source uint16
	stream byte
	at     time.Time
	line   []byte
	cut    bool
	end    *spec.Status // not a line: the container has ended so
	past   bool         // … long ago: that is no news
	last   bool         // nothing comes after it, and it is no line
}

func (m *merge) add(number uint16) *logSource {
	s := &logSource{number: number, lines: make(chan item, waiting), wake: m.wake}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = append(m.sources, s)
	return s
}

// push hands a line over; it waits while the client is slow.
func (s *logSource) push(ctx context.Context, l LogLine) error {
	return s.put(ctx, item{source: s.number, stream: l.Stream, at: l.Time, line: bytes.Clone(l.Data), cut: l.Cut})
}

// end tells that no line comes any more, and how the container ended.
func (s *logSource) end(ctx context.Context, end *spec.Status, past bool) {
	// The error is ctx's: nobody reads any more.
	_ = s.put(ctx, item{source: s.number, at: time.Now(), end: end, past: past, last: true})
}

func (s *logSource) put(ctx context.Context, i item) error {
	select {
	case s.lines <- i:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// next is what take found.
type next int

const (
	taken  next = iota // an item
	silent             // nothing now; wake tells when to ask again
	over               // all sources have ended
)

// take returns the earliest item. Unless following it waits for every source;
// with ctx every source ends.
func (m *merge) take(ctx context.Context, following bool) (item, next) {
	m.mu.Lock()
	sources := m.sources
	m.mu.Unlock()
	var earliest *logSource
	open := false
	for _, s := range sources {
		s.fill(ctx, following)
		if s.head != nil && (earliest == nil || s.head.at.Before(earliest.head.at)) {
			earliest = s
		}
		open = open || !s.ended
	}
	if earliest == nil {
		if open {
			return item{}, silent
		}
		return item{}, over
	}
	i := *earliest.head
	earliest.head, earliest.ended = nil, i.last
	return i, taken
}

// fill looks for the source's next item: without waiting if it was silent,
// else for a moment, or, not following, for as long as it takes.
func (s *logSource) fill(ctx context.Context, following bool) {
	if s.head != nil || s.ended {
		return
	}
	select {
	case i := <-s.lines:
		s.head, s.silent = &i, false
		return
	default:
	}
	if !following {
		select {
		case i := <-s.lines:
			s.head = &i
		case <-ctx.Done():
			s.ended = true
		}
		return
	}
	if s.silent {
		return
	}
	timer := time.NewTimer(silence)
	defer timer.Stop()
	select {
	case i := <-s.lines:
		s.head = &i
	case <-timer.C:
		s.silent = true
	}
}

func marshalNote(n client.Note) ([]byte, error) {
	data, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("cannot write note: %w", err)
	}
	return data, nil
}
