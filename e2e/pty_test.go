package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a pty with a mycompose on its other side.
type terminal struct {
	*host
	master, slave *os.File
	cmd           *exec.Cmd
	before        unix.Termios

	mu   sync.Mutex
	seen strings.Builder
	done chan struct{} // the reader has ended
}

// typing starts mycompose with a terminal of its own, ptmx(4), that can do all.
func (h *host) typing(dir string, args ...string) *terminal {
	h.t.Helper()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	must(err)
	must(unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(err)
	t := &terminal{host: h, master: master, slave: slave, done: make(chan struct{})}
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	must(err)
	t.before = *before
	t.resize(24, 80)
	t.cmd = h.command(context.Background(), dir, args...)
	t.cmd.Env = append(slices.Clone(h.env), "TERM=xterm") // whatever we run in
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = slave, slave, slave
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t.cmd.Start())
	go func() {
		defer close(t.done)
		block := make([]byte, 4096)
		for {
			n, err := master.Read(block)
			t.mu.Lock()
			t.seen.Write(block[:n])
			t.mu.Unlock()
			if err != nil {
				return // EIO: nobody has the other side any more
			}
		}
	}()
	h.t.Cleanup(func() {
		if t.cmd.ProcessState == nil { // the test has failed
			_ = t.cmd.Process.Kill()
			_ = t.cmd.Wait()
		}
		slave.Close()
		<-t.done // EIO: nobody has the other side
		master.Close()
	})
	return t
}

func (t *terminal) resize(rows, columns uint16) {
	t.t.Helper()
	if err := unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.t.Fatal(err)
	}
}

func (t *terminal) types(text string) {
	t.t.Helper()
	if _, err := t.master.WriteString(text); err != nil {
		t.t.Fatal(err)
	}
}

func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.String()
}

// sees waits for a text.
func (t *terminal) sees(text string) {
	t.t.Helper()
	t.eventually(func() error { return want(t.text(), text) })
}

// asks types a command until it answers so: what is typed before a change has
// come through sees the state before.
func (t *terminal) asks(command, answer string) {
	t.t.Helper()
	t.eventually(func() error {
		t.types(command + "\r")
		return want(t.text(), answer)
	})
}

// ends waits for the end, with that code and a terminal as it was before.
func (t *terminal) ends(code int) {
	t.t.Helper()
	_ = waitFor(t.t, t.cmd)
	if got := t.cmd.ProcessState.ExitCode(); got != code {
		t.t.Errorf("%v: exit code %d, not %d:\n%s", t.cmd.Args, got, code, t.text())
	}
	after, err := unix.IoctlGetTermios(int(t.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.t.Fatal(err)
	}
	if *after != t.before {
		t.t.Errorf("%v: the terminal was %+v and is %+v", t.cmd.Args, t.before, *after)
	}
}

const shells = `
services:
  a: {image: busybox, command: sleep 100000, init: true}
  sh: {image: busybox, command: sh, tty: true, stdin_open: true}
`

// exec and run with a terminal: its size follows ours, Ctrl-C reaches the process
// and not us, a shell outlives its daemon, and our terminal is as before at the
// end, whichever way that comes.
func TestTerminals(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("tty", map[string]string{"compose.yaml": shells})
	h.must(dir, "up", "-d")
	for _, args := range [][]string{{"exec", "a", "sh"}, {"run", "--rm", "--quiet", "a", "sh"}} {
		tty := h.typing(dir, args...)
		tty.sees("#")
		tty.types("stty size\r")
		tty.sees("24 80")
		tty.resize(50, 132)
		tty.asks("stty size", "50 132")
		tty.types("echo begun; sleep 1000\r")
		tty.sees("begun\r\n")
		tty.asks("\x03echo code $?", "code 130")
		h.killDaemon()
		// What is typed while there is no daemon may be lost with it.
		tty.asks("echo still $((40+2))", "still 42")
		tty.types("exit 7\r")
		tty.ends(7)
	}
	// A process that is killed.
	tty := h.typing(dir, "exec", "a", "sh", "-c", "echo pid $$; exec sleep 1000")
	tty.sees("pid ")
	h.eventually(func() error { // told again until the shell has become sleep
		r := h.run(dir, "exec", "-T", "a", "sh", "-c", `kill $(pidof sleep | tr ' ' '\n' | grep -vx 1 | sort -n | tail -1)`)
		if r.code != 0 {
			return fmt.Errorf("kill: %+v", r)
		}
		return nil
	})
	tty.ends(143)
}

// Ctrl-P Ctrl-Q leaves a process alone: it runs on.
func TestDetachFromATerminal(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("leave", map[string]string{"compose.yaml": shells})
	h.must(dir, "up", "-d")
	tty := h.typing(dir, "exec", "a", "sh", "-c", "echo begun; sleep 54321")
	tty.sees("begun")
	tty.types("\x10\x11")
	tty.ends(0)
	if err := want(h.must(dir, "top", "a"), "sleep 54321"); err != nil {
		t.Error(err)
	}
	tty = h.typing(dir, "run", "--rm", "--name", "job", "a", "sh", "-c", "echo begun; sleep 54321")
	tty.sees("begun")
	tty.types("\x10\x11")
	tty.ends(0)
	if got := h.must(dir, "ps", "-a", "--format", "{{.Name}}"); strings.Contains(got, "job") {
		t.Errorf("ps lists one-offs: %q", got)
	}
	tty = h.typing(dir, "attach", "sh")
	tty.asks("echo from attach $((40+2))", "from attach 42")
	tty.types("\x10\x11")
	tty.ends(0)
	tty = h.typing(dir, "attach", "--detach-keys", "ctrl-x,x", "sh")
	tty.asks("echo once more $((40+2))", "once more 42")
	tty.types("\x18x")
	tty.ends(0)
	if row := h.ps(dir)["leave-sh-1"]; row.State != "running" {
		t.Errorf("after attach: %+v", row)
	}
}

// A closed terminal reaches what runs in a container with it, and `run --rm` leaves
// nothing behind.
func TestAClosedTerminalEndsWhatRunsWithIt(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("closed", map[string]string{"compose.yaml": shells})
	for _, plain := range []bool{false, true} {
		args := []string{"run", "--rm", "a", "sh", "-c", "echo is there; sleep 100000; echo and then"}
		if plain {
			args = slices.Insert(args, 2, "-T")
		}
		p := h.typing(dir, args...)
		p.sees("is there")
		if err := p.cmd.Process.Signal(unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		_ = waitFor(t, p.cmd) // by the signal, or as the container ended: who is first
		h.eventually(func() error {
			left, err := filepath.Glob(filepath.Join(h.state, "containers", "*"))
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("left: %v", left)
			}
			return err
		})
	}
}
