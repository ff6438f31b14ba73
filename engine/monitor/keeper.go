package monitor

import (
	"context"
	"errors"
	"time"

	"github.com/mycompose/mycompose/engine/wire"
)

const (
	firstPause  = 100 * time.Millisecond
	longestWait = 5 * time.Second
	// stoppedPause is how often a stopped state folder is looked at again.
	stoppedPause = 30 * time.Second
)

// tendKeeper ensures a keeper whenever the daemon has gone, until one dials. It
// begins with the first daemon's end: a monitor is started by a daemon.
func (m *Monitor) tendKeeper(ctx context.Context, accept func(*wire.Listener)) {
	var last <-chan struct{} // of the last daemon, which may have come and gone unseen
	pause := time.Duration(0)
	for {
		m.mu.Lock()
		connected, done, changed := m.daemon != nil, m.daemonDone, m.changed
		m.mu.Unlock()
		if done != last {
			last, pause = done, 0
		}
		if !connected && last != nil {
			if pause > 0 { // the first time at once, then after a pause
				timer := time.NewTimer(pause)
				select {
				case <-timer.C:
				case <-changed:
					timer.Stop()
					continue
				case <-ctx.Done():
					timer.Stop()
					return
				}
			}
			m.listenAgain(accept)
			pause = m.ensureKeeper(ctx, pause)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// listenAgain accepts daemons at a new listener where the name of the old one is
// gone.
func (m *Monitor) listenAgain(accept func(*wire.Listener)) {
	if m.Relisten == nil {
		return
	}
	again, err := m.Relisten()
	if err != nil {
		m.Logf("%v", err)
	}
	if again != nil {
		accept(again)
	}
}

// ensureKeeper tries once and returns how long to wait before the next try.
func (m *Monitor) ensureKeeper(ctx context.Context, pause time.Duration) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	// What it starts is a child of ours for a moment, waited for there.
	m.children.hold()
	err := m.EnsureKeeper(ctx)
	m.children.release()
	if errors.Is(err, wire.ErrStopped) {
		return stoppedPause
	}
	if err != nil && ctx.Err() == nil {
		m.Logf("%v", err)
	}
	return min(max(2*pause, firstPause), longestWait)
}
