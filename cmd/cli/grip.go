package cli

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// grip has our terminal read in another way, and gives it back as it was however
// this program ends or stops; SIGKILL excepted.
//
//	taken ──SIGTSTP──▶ given back, stopped ──SIGCONT, in the foreground──▶ taken
//	  ├──SIGHUP, SIGQUIT──▶ given back, ended by it
//	  ├──a panic below session.guarded──▶ given back
//	  └──close──▶ given back
type grip struct {
	fd            int
	before, taken unix.Termios
	screen        screenModes // what the other side has changed, on out
	out           io.Writer   // nil: no terminal
	signals       chan os.Signal
	ended         chan struct{}
	done          sync.WaitGroup
	once          sync.Once
}

// openGrip takes the terminal, changed so; one at a time.
func (s *session) openGrip(terminal *os.File, change func(*unix.Termios)) (*grip, error) {
	g := &grip{fd: int(terminal.Fd()), signals: make(chan os.Signal, 4), ended: make(chan struct{})}
	before, err := unix.IoctlGetTermios(g.fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("cannot read keys: %w", err)
	}
	g.before, g.taken = *before, *before
	change(&g.taken)
	if isTerminal(s.process.Stdout) {
		g.out = s.process.Stdout
	}
	signal.Notify(g.signals, unix.SIGTSTP, unix.SIGCONT, unix.SIGQUIT)
	if !s.heedsHangup.Load() {
		signal.Notify(g.signals, unix.SIGHUP)
	}
	s.grip.Store(g)
	g.take()
	g.done.Add(1)
	go g.obey()
	return g, nil
}

// close gives the terminal back; a second time does nothing.
func (g *grip) close() {
	g.once.Do(func() {
		signal.Stop(g.signals)
		close(g.ended)
		g.done.Wait()
		g.leave()
	})
}

// foreground reports whether we may touch the terminal: a job in the background
// that does is stopped. One that controls no session has no jobs.
func (g *grip) foreground() bool {
	group, err := unix.IoctlGetInt(g.fd, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

func (g *grip) take() {
	if g.foreground() {
		// If this fails there is no terminal any more that could be read.
		_ = unix.IoctlSetTermios(g.fd, unix.TCSETS, &g.taken)
	}
}

func (g *grip) give() {
	if g.foreground() {
		_ = unix.IoctlSetTermios(g.fd, unix.TCSETS, &g.before)
	}
}

// leave gives the terminal back with what it shows as it is usual.
func (g *grip) leave() {
	g.give()
	if undo := g.screen.undo(); undo != "" && g.out != nil && g.foreground() {
		_, _ = io.WriteString(g.out, undo)
	}
}

// obey stops, goes on and ends as signals ask.
func (g *grip) obey() {
	defer g.done.Done()
	for {
		select {
		case <-g.ended:
			return
		case caught := <-g.signals:
			switch caught {
			case unix.SIGTSTP:
				g.give()
				_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
			case unix.SIGCONT:
				g.take()
			default:
				g.leave()
				signal.Reset(caught)
				_ = unix.Kill(unix.Getpid(), caught.(unix.Signal))
			}
		}
	}
}

// guarded runs f, the body of a goroutine; if f panics the terminal is as it was
// before the program ends with that.
func (s *session) guarded(f func()) {
	whole := false
	defer func() {
		if g := s.grip.Load(); !whole && g != nil {
			g.leave()
		}
	}()
	f()
	whole = true
}

// raw hands every key on as it is: termios(3), cfmakeraw.
func raw(t *unix.Termios) {
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
}

// singleKeys hands every key on at once; Ctrl-C and Ctrl-Z still make signals, and
// lines still end as programs expect.
func singleKeys(t *unix.Termios) {
	t.Lflag &^= unix.ICANON | unix.ECHO
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	t.Cc[unix.VQUIT] = 0 // _POSIX_VDISABLE: a slip of the hand ends nobody
}
