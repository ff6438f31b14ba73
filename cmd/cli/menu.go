package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

// wantsMenu: there is a terminal at both ends, and neither --menu=false nor
// COMPOSE_MENU=0 says no. A flag that was given wins over the variable.
func (s *session) wantsMenu(flag, given bool) bool {
	if !isTerminal(s.process.Stdin) || !isTerminal(s.process.Stdout) || s.env["TERM"] == "dumb" {
		return false
	}
	if given || s.env["COMPOSE_MENU"] == "" {
		return flag
	}
	return s.truth("COMPOSE_MENU")
}

// menu are the keys of an attached up; nil where there are none.
type menu struct {
	keys    *keys
	restart chan error // of a restart that was asked for
	busy    bool
}

// openMenu begins to read keys. That there are none is told and no error: all
// else works without.
func (s *session) openMenu() *menu {
	terminal, ok := s.process.Stdin.(*os.File)
	if !ok {
		return nil
	}
	k, err := openKeys(terminal)
	if err != nil {
		s.screen.Warn(err.Error())
		return nil
	}
	return &menu{keys: k, restart: make(chan error, 1)}
}

func (m *menu) close() {
	if m != nil {
		m.keys.close()
	}
}

// pressed are the keys; a nil menu has none, for ever.
func (m *menu) pressed() <-chan byte {
	if m == nil {
		return nil
	}
	return m.keys.pressed
}

// restarted tells the end of a restart.
func (m *menu) restarted() <-chan error {
	if m == nil {
		return nil
	}
	return m.restart
}

// keyHelp names the keys, once at the beginning and again for h.
const keyHelp = "keys: d detach · o open in the browser · r restart · h this line · Ctrl-C stop"

// press does what a key asks for; left: the command shall end, the containers
// run on.
func (a *attached) press(ctx context.Context, c *client.Client, key byte) (left bool) {
	switch key {
	case 'd', 'D':
		a.screen.Notice("detached: the containers run on")
		a.summarize(ctx, "", nil, "logs -f", "ps", "down")
		return true
	case 'o', 'O':
		a.openBrowser(ctx, c)
	case 'r', 'R':
		a.restartAll(ctx, c)
	case '\r', '\n': // people part what they have read from what comes
		a.screen.Println("")
	case 'h', 'H', '?':
		a.screen.Notice(keyHelp)
	}
	return false
}

// restartAll restarts the attached services; watch hears of the end.
func (a *attached) restartAll(ctx context.Context, c *client.Client) {
	if a.menu.busy {
		return
	}
	op, err := a.operation(client.Restart, &project{name: a.project.name}, client.RestartRequest{
		Services: a.request.Services, Timeout: a.request.Timeout,
	})
	if err == nil {
		err = c.StartOperation(ctx, op)
	}
	if err != nil {
		a.screen.Error(err)
		return
	}
	a.menu.busy = true
	a.reading.Add(1)
	go func() {
		defer a.reading.Done()
		result, err := c.Follow(ctx, op.ID, a.progress.Show)
		if err == nil {
			err = outcome(result)
		}
		a.menu.restart <- err // has room for one, and one is at work
	}()
}

// openBrowser opens the first published port that a browser can show.
func (a *attached) openBrowser(ctx context.Context, c *client.Client) {
	containers, err := a.chosen(ctx, c)
	if err != nil {
		a.screen.Error(err)
		return
	}
	url := ""
	for _, container := range containers {
		for _, u := range ui.URLs(container.Status.Ports) {
			if url == "" && container.Status.Up() && strings.HasPrefix(u, "http") {
				url = u
			}
		}
	}
	if url == "" {
		a.screen.Notice("no service publishes a port that a browser could open")
		return
	}
	if err := browse(url, a.env); err != nil {
		a.screen.Notice("cannot open a browser (" + err.Error() + "): " + url)
		return
	}
	a.screen.Notice("opened " + url)
}

// browse starts the user's browser and leaves it to itself.
func browse(url string, env map[string]string) error {
	if env["BROWSER"] == "" && env["DISPLAY"] == "" && env["WAYLAND_DISPLAY"] == "" {
		return errors.New("there is no desktop")
	}
	for _, program := range []string{env["BROWSER"], "xdg-open", "sensible-browser"} {
		path, err := exec.LookPath(program)
		if program == "" || err != nil {
			continue
		}
		cmd := exec.Command(path, url)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		return cmd.Process.Release()
	}
	return errors.New("neither BROWSER nor xdg-open is there")
}
