package monitor

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/logs"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spawn"
	"github.com/mycompose/mycompose/engine/wire"
)

const (
	// readSize is how much a pump reads at once, bytes.
	readSize = 64 << 10
	// drainTime is how long the pipes of an ended process are read when
	// another process still holds them open.
	drainTime = 2 * time.Second
)

// process is a started process with its pumps.
type process struct {
	id        string
	pid       int
	pidfd     *os.File
	first     *first // nil: it is process 1 itself, or an exec
	startedAt time.Time
	terminal  *os.File // pollable master, or nil
	stdin     *input
	sources   []*os.File // what the pumps read
	pumps     sync.WaitGroup
}

// sink takes what a process wrote; data is valid during the call. It may block
// to slow the process down.
type sink interface {
	write(stream logs.Stream, at time.Time, data []byte)
}

// launch starts a recipe. files[i] are what the recipe's indexes mean; they
// stay the caller's.
func (m *Monitor) launch(r *recipe.Recipe, files []*os.File, stdin bool) (*process, error) {
	var stdio pipes
	if !r.Process.Terminal {
		var err error
		if stdio, err = newPipes(r.Process, stdin); err != nil {
			return nil, err
		}
	}
	if r.Process.OOMScoreAdj == nil {
		r.Process.OOMScoreAdj = m.OOMScoreAdj
	}
	m.children.hold()
	defer m.children.release()
	startedAt := time.Now()
	started, err := m.Starter.Start(r, files, stdio.theirs)
	if err != nil {
		stdio.closeAll()
		var failed *spawn.Error
		if errors.As(err, &failed) {
			return nil, wire.NewStartError(failed.Text, failed.Code)
		}
		return nil, err
	}
	m.children.add(started.PID)
	p := &process{id: r.ID, pid: started.PID, pidfd: started.PIDFD, first: m.follow(started.Init), startedAt: startedAt}
	if err := p.connect(started.Terminal, &stdio, stdin); err != nil {
		// It runs and nobody could hear it: end it, its waiter tells.
		stdio.closeAll()
		err = errors.Join(err, unix.PidfdSendSignal(int(started.PIDFD.Fd()), unix.SIGKILL, nil, 0))
		m.working.Go(func() {
			_, _ = m.children.wait(p.pid, p.pidfd)
			p.pidfd.Close()
			p.first.end()
		})
		return nil, fmt.Errorf("cannot connect stdio: %w", err)
	}
	return p, nil
}

// connect takes our ends of the stdio.
func (p *process) connect(terminal *os.File, stdio *pipes, stdin bool) error {
	if terminal != nil {
		defer terminal.Close()
		master, err := pollable(terminal)
		if err != nil {
			return err
		}
		p.terminal = master
		p.sources = []*os.File{master}
		if stdin {
			p.stdin = &input{file: master, keep: true}
		}
		return nil
	}
	if err := stdio.closeTheirs(); err != nil {
		return err
	}
	p.sources = []*os.File{stdio.out, stdio.err}
	if stdio.in != nil {
		p.stdin = &input{file: stdio.in}
	}
	return nil
}

// blocks are what pumps read into. Probes come by the thousand: their blocks
// are used again, or they would be most of a monitor's garbage.
type blocks struct{ free sync.Pool }

type block [readSize]byte

func (b *blocks) take() *block {
	if free, ok := b.free.Get().(*block); ok {
		return free
	}
	return new(block)
}

// pump starts reading into a sink, by way of blocks.
func (p *process) pump(to sink, from *blocks) {
	for i, source := range p.sources {
		stream := logs.Stdout + logs.Stream(i)
		p.pumps.Go(func() {
			block := from.take()
			defer from.free.Put(block)
			for {
				n, err := source.Read(block[:])
				if n > 0 {
					to.write(stream, time.Now(), block[:n])
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					drain(source, block[:], func(data []byte) { to.write(stream, time.Now(), data) })
				}
				if err != nil {
					return // EOF; EIO: the pty's last user has gone; deadline
				}
			}
		})
	}
}

// drain reads what a source holds at this moment: its deadline may pass before
// its reader had a turn, or while that was held up by a slow sink. What somebody
// who still holds it open writes meanwhile is left.
func drain(source *os.File, block []byte, each func([]byte)) {
	raw, err := source.SyscallConn()
	if err != nil {
		return
	}
	left := 0
	// TIOCINQ is FIONREAD, ioctl_tty(2), pipe(7): how much lies there.
	err = raw.Control(func(fd uintptr) { left, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	for err == nil && left > 0 {
		var n int
		var readErr error
		err = raw.Control(func(fd uintptr) { n, readErr = unix.Read(int(fd), block[:min(left, len(block))]) })
		switch {
		case errors.Is(readErr, unix.EINTR):
			continue
		case readErr != nil || n <= 0:
			return
		}
		each(block[:n])
		left -= n
	}
}

// wait waits until the process has ended and its output has been read.
// ended is called between the two.
func (m *Monitor) wait(p *process, ended func()) (wire.MonitorExit, error) {
	status, err := m.children.wait(p.pid, p.pidfd)
	exit := wire.MonitorExit{
		ID:        p.id,
		StartedAt: p.startedAt.UnixNano(),
		ExitedAt:  time.Now().UnixNano(),
		Ran:       int64(time.Since(p.startedAt)),
		BootID:    m.BootID,
	}
	switch {
	case err != nil:
		exit.Code, exit.Reason = 255, err.Error()
	case status.Signaled():
		exit.Signal = int(status.Signal())
		exit.Code = 128 + exit.Signal
	default:
		exit.Code = status.ExitStatus()
	}
	p.stdin.close()
	ended()
	deadline := time.Now().Add(drainTime)
	for _, source := range p.sources {
		// Reads what is there, then fails; a pump that is in its sink
		// goes on reading until then.
		_ = source.SetReadDeadline(deadline)
	}
	p.pumps.Wait()
	return exit, err
}

// close lets go of the descriptors of a process that has been waited for.
func (p *process) close() {
	closeFiles(p.sources)
	p.pidfd.Close()
}

// signal sends a signal, signal(7).
func (p *process) signal(number int) error { return sendSignal(p.pidfd, number) }

func sendSignal(pidfd *os.File, number int) error {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var killErr error
	err = raw.Control(func(fd uintptr) {
		killErr = unix.PidfdSendSignal(int(fd), unix.Signal(number), nil, 0)
	})
	return errors.Join(err, killErr)
}

// resize sets the size of the pty, ioctl_tty(2) TIOCSWINSZ.
func (p *process) resize(rows, columns uint16) error {
	if p.terminal == nil {
		return errors.New("it has no terminal")
	}
	raw, err := p.terminal.SyscallConn()
	if err != nil {
		return err
	}
	var sizeErr error
	err = raw.Control(func(fd uintptr) {
		sizeErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
	return errors.Join(err, sizeErr)
}

// input is the stdin of a process. A nil one takes nothing.
type input struct {
	mu   sync.Mutex // held for a whole write: clients do not mix
	file *os.File
	keep bool // a terminal: it is read from too, and no end is sent
	once sync.Once
}

func (in *input) Write(data []byte) (int, error) {
	if in == nil {
		return len(data), nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.file.Write(data)
}

// close ends stdin. A write that waits fails.
func (in *input) close() {
	if in == nil || in.keep {
		return
	}
	in.once.Do(func() { in.file.Close() })
}
