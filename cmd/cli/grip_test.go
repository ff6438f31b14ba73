package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// pty makes a terminal, ptmx(4).
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	number := 0
	if err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err == nil {
		number, err = unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// endingVariable names the way in which TestGripChild ends.
const endingVariable = "MYCOMPOSE_TEST_ENDING"

// TestGripChild is no test: it takes its terminal and ends badly.
func TestGripChild(t *testing.T) {
	ending := os.Getenv(endingVariable)
	if ending == "" {
		return // it is run by TestTheTerminalIsAsBeforeHoweverWeEnd
	}
	s := newSession(Process{Stdin: os.Stdin, Stdout: os.Stdout})
	g, err := s.openGrip(os.Stdin, raw)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(&g.screen, "\x1b[?1049h\x1b[?25l")
	now, err := unix.IoctlGetTermios(g.fd, unix.TCGETS)
	if err != nil || now.Lflag&unix.ICANON != 0 {
		os.Exit(3)
	}
	switch ending {
	case "panic":
		go s.guarded(func() { panic("on purpose") })
	case "hangup":
		_ = unix.Kill(unix.Getpid(), unix.SIGHUP)
	case "quit":
		_ = unix.Kill(unix.Getpid(), unix.SIGQUIT)
	}
	select {}
}

func TestTheTerminalIsAsBeforeHoweverWeEnd(t *testing.T) {
	for _, name := range []string{"panic", "hangup", "quit", "panic in another session"} {
		ending, _, elsewhere := strings.Cut(name, " ")
		t.Run(name, func(t *testing.T) {
			if ending == "hangup" && signal.Ignored(syscall.SIGHUP) {
				t.Skip("needs a SIGHUP that is not ignored: nohup(1) has all that is started below it ignore it")
			}
			master, slave := pty(t)
			before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			cmd := exec.Command(os.Args[0], "-test.run", "^TestGripChild$")
			cmd.Env = append(os.Environ(), endingVariable+"="+ending)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, &said
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: !elsewhere}
			if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() == 3 {
				t.Fatalf("it ended with %v: %s", err, said.String())
			}
			after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil || *after != *before {
				t.Errorf("the terminal was %+v and is %+v, %v", before, after, err)
			}
			block := make([]byte, 4096)
			n, err := master.Read(block)
			if want := "\x1b[?25h\x1b[0m\x1b[?1049l"; err != nil || !strings.Contains(string(block[:n]), want) {
				t.Errorf("the terminal was told %q, not %q: %v", block[:n], want, err)
			}
		})
	}
}

func TestModesOfTheTerminalAreUndone(t *testing.T) {
	for _, c := range []struct{ told, want string }{
		{"plain text, \x1b[1mbold\x1b[0m", ""},
		{"\x1b[?1049h\x1b[?1h\x1b=\x1b[?25l", "\x1b[?1l\x1b[?25h\x1b>\x1b[0m\x1b[?1049l"},
		{"\x1b[?1049h\x1b[?25l text \x1b[?25h\x1b[?1049l", ""},
		{"\x1b[?1000;1006h", "\x1b[?1000l\x1b[?1006l\x1b[0m"},
		{"\x1b[?1000h\x1bc", ""},
		{"\x1b[?7l\x1b[?12h", "\x1b[?7h\x1b[0m"},
		{"\x1b[" + strings.Repeat("9;", 100) + "m\x1b[?2004h", "\x1b[?2004l\x1b[0m"},
	} {
		var whole, parts screenModes
		fmt.Fprint(&whole, c.told)
		for i := range len(c.told) {
			fmt.Fprint(&parts, c.told[i:i+1])
		}
		if got := whole.undo(); got != c.want {
			t.Errorf("after %q: %q, not %q", c.told, got, c.want)
		}
		if got := parts.undo(); got != c.want {
			t.Errorf("after %q byte by byte: %q, not %q", c.told, got, c.want)
		}
	}
}
