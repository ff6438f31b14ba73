package cli

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// onHangup has f done when our terminal is closed, before that ends us, until
// release. With f nil, or where somebody lets us live on (nohup(1)), it does nothing.
func (s *session) onHangup(f func()) (release func()) {
	if f == nil || signal.Ignored(unix.SIGHUP) {
		return func() {}
	}
	hangup, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangup, unix.SIGHUP)
	s.heedsHangup.Store(true)
	go s.guarded(func() { // ends with release, or with this program
		select {
		case <-ended:
			return
		case <-hangup:
		}
		f()
		select {
		case <-ended: // what is to be done behind it is on its way
			return
		default:
		}
		if g := s.grip.Load(); g != nil {
			g.leave()
		}
		signal.Reset(unix.SIGHUP)
		_ = unix.Kill(unix.Getpid(), unix.SIGHUP)
	})
	return func() {
		close(ended)
		signal.Stop(hangup)
		s.heedsHangup.Store(false)
	}
}
