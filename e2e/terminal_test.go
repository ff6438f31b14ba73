package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

var updateScreens = flag.Bool("update-screens", false, "record the screens in testdata/screens")

// pane is a shell in a terminal of a given size: a tmux server of its own.
type pane struct {
	h      *host
	socket string
	tmux   string
	size   string
}

// sizes are those of the golden screens.
var sizes = [][2]int{{80, 24}, {200, 50}}

// newPane opens a terminal in a folder. The variables are the host's.
func (h *host) newPane(dir string, columns, rows int, env ...string) *pane {
	h.t.Helper()
	p := &pane{h: h, tmux: kerneltest.NeedProgram(h.t, "tmux"), socket: filepath.Join(tempDir(h.t), "tmux"), size: fmt.Sprintf("%dx%d", columns, rows)}
	config, rc := filepath.Join(tempDir(h.t), "tmux.conf"), filepath.Join(tempDir(h.t), "bashrc")
	// No status line: it would take a row.
	if err := os.WriteFile(config, []byte("set -g status off\nset -g default-terminal screen-256color\nset -s escape-time 0\n"), 0o644); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(rc, []byte("PS1='$ '\n"), 0o644); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = exec.Command(p.tmux, "-S", p.socket, "kill-server").Run() })
	cmd := exec.Command(p.tmux, "-u", "-S", p.socket, "-f", config, "new-session", "-d",
		"-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows), "-c", dir, "bash --noprofile --rcfile "+rc)
	cmd.Env = []string{"PATH=" + filepath.Dir(h.binary) + ":" + os.Getenv("PATH"), "LANG=C.UTF-8", "TERM=xterm"}
	for _, entry := range append(h.env, env...) {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH", "LANG", "TERM", "CI", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TMUX", "DISPLAY", "BROWSER", "WAYLAND_DISPLAY", "LC_ALL":
		default:
			cmd.Env = append(cmd.Env, entry)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("cannot start tmux: %v: %s", err, out)
	}
	p.sees("$")
	return p
}

// do runs a tmux command on the pane.
func (p *pane) do(args ...string) string {
	p.h.t.Helper()
	out, err := exec.Command(p.tmux, append([]string{"-u", "-S", p.socket}, args...)...).CombinedOutput()
	if err != nil {
		p.h.t.Fatalf("tmux %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// keys presses keys by tmux's names for them: "C-c", "Enter".
func (p *pane) keys(keys ...string) {
	p.h.t.Helper()
	p.do(append([]string{"send-keys"}, keys...)...)
}

// types a command on a cleared screen; its exit code follows its output. Nothing
// of the commands before it is visible when it begins.
func (p *pane) types(command string) {
	p.h.t.Helper()
	p.keys("clear", "Enter")
	p.h.eventually(func() error {
		if screen := p.screen(); strings.TrimSpace(screen) != "$" {
			return fmt.Errorf("the screen is not clear:\n%s", screen)
		}
		return nil
	})
	p.do("send-keys", "-l", "clear; "+command+`; echo "exit code $?"`)
	p.keys("Enter")
}

// screen is what is visible, without blanks at the end.
func (p *pane) screen() string {
	p.h.t.Helper()
	return strings.TrimRight(p.do("capture-pane", "-p"), " \n") + "\n"
}

// sees waits until all texts are visible, and returns the screen that shows them.
func (p *pane) sees(texts ...string) string {
	p.h.t.Helper()
	var screen string
	p.h.eventually(func() error {
		screen = p.screen()
		for _, text := range texts {
			if err := want(screen, text); err != nil {
				return err
			}
		}
		return nil
	})
	return screen
}

// ends waits until the command has ended with a code and the shell asks for the
// next one.
func (p *pane) ends(code int) string {
	p.h.t.Helper()
	var screen string
	p.h.eventually(func() error {
		screen = p.screen()
		if !strings.HasSuffix(strings.TrimSpace(screen), fmt.Sprintf("exit code %d\n$", code)) {
			return fmt.Errorf("no exit code %d in:\n%s", code, screen)
		}
		return nil
	})
	return screen
}

var (
	timers      = regexp.MustCompile(`(?m) +[0-9]+(m[0-9]+)?(\.[0-9])?s$`)
	spinners    = regexp.MustCompile(`[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]`)
	bytesOf     = regexp.MustCompile(`[0-9.]+[kMG]?B/`)
	bars        = regexp.MustCompile(`[█▏▎▍▌▋▊▉]+ +`)
	stepNumbers = regexp.MustCompile(`(?m)^#[0-9]+ `)
	digests     = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
	ports       = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
)

// normal takes out what differs from run to run: times, the turn of the
// spinner, bytes that are on their way, ports.
func normal(screen string) string {
	screen = timers.ReplaceAllString(screen, "  TIME")
	screen = spinners.ReplaceAllString(screen, "⠿")
	screen = bytesOf.ReplaceAllString(screen, "N/")
	screen = bars.ReplaceAllString(screen, "█ ")
	screen = digests.ReplaceAllString(screen, "0123456789ab")
	screen = stepNumbers.ReplaceAllString(screen, "#N ")
	return ports.ReplaceAllString(screen, "127.0.0.1:PORT")
}

// golden holds a screen against testdata/screens.
func (p *pane) golden(name, screen string) {
	p.h.t.Helper()
	path := filepath.Join("testdata", "screens", name+"-"+p.size+".txt")
	got := []byte(normal(screen))
	if *updateScreens {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			p.h.t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			p.h.t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(path)
	if err != nil {
		p.h.t.Fatal(err)
	}
	if !bytes.Equal(got, recorded) {
		p.h.t.Errorf("%s differs.\ngot:\n%s\nwant:\n%s", path, got, recorded)
	}
}

func eachSize(t *testing.T, f func(t *testing.T, columns, rows int)) {
	for _, size := range sizes {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) { f(t, size[0], size[1]) })
	}
}
