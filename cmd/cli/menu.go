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
	"github.com/mycompose/mycompose/compose/event"
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
	keys *keys
	// ended takes how an operation that a key asked for ended; one at a time.
	ended chan asked
	busy  bool
}

// asked is an operation that a key asked for.
type asked struct {
	kind client.Kind
	err  error
}

// openMenu begins to read keys. That there are none is told and no error: all
// else works without.
func (s *session) openMenu() *menu {
	terminal, ok := s.process.Stdin.(*os.File)
	if !ok {
		return nil
	}
	k, err := s.openKeys(terminal)
	if err != nil {
		s.screen.Warn(err.Error())
		return nil
	}
	return &menu{keys: k, ended: make(chan asked, 1)}
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

// done tells the end of what was asked for.
func (m *menu) done() <-chan asked {
	if m == nil {
		return nil
	}
	return m.ended
}

// keyHelp names the keys, once at the beginning and again for h.
const keyHelp = "keys: d detach · o open browser · r restart · w watch · h help · Ctrl-C stop"

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
		a.ask(ctx, c, client.Restart, client.RestartRequest{Services: a.request.Services, Timeout: a.request.Timeout})
	case 'w', 'W':
		a.toggleWatch(ctx, c)
	case '\r', '\n': // people part what they have read from what comes
		a.screen.Println("")
	case 'h', 'H', '?':
		a.screen.Notice(keyHelp)
	}
	return false
}

// ask begins an operation; watch hears of its end. While one is at work there is
// no other.
func (a *attached) ask(ctx context.Context, c *client.Client, kind client.Kind, request any) {
	if a.menu.busy {
		return
	}
	p := &project{name: a.project.name}
	if kind == client.Watch {
		p = a.project
	}
	op, err := a.operation(kind, p, request)
	if err == nil {
		err = a.handOver(ctx, c, op)
	}
	if err != nil {
		a.screen.Error(err)
		return
	}
	a.menu.busy = true
	a.reading.Add(1)
	go a.guarded(func() {
		defer a.reading.Done()
		result, err := c.Follow(ctx, op.ID, a.progress.Show)
		if err == nil {
			err = outcome(result)
		}
		a.menu.ended <- asked{kind, err} // has room for one
	})
}

// answered takes in the end of what was asked for.
func (a *attached) answered(ctx context.Context, c *client.Client, done asked) {
	a.menu.busy = false
	switch {
	case done.err != nil:
		a.screen.ErrorWithHint(done.err, hint(done.err))
	case done.kind == client.Watch:
		a.request.Watch = true
		a.followWatch(ctx, c)
	}
}

// toggleWatch begins to act on saved files, or ends it.
func (a *attached) toggleWatch(ctx context.Context, c *client.Client) {
	if !a.request.Watch {
		a.ask(ctx, c, client.Watch, client.WatchRequest{Services: a.request.Services})
		return
	}
	if err := c.ChangeWatch(ctx, a.project.name, "stop"); err != nil {
		a.screen.Error(err)
		return
	}
	a.request.Watch = false
	a.screen.Notice("watch is off")
}

// followWatch shows among the logs what is done for changed files.
func (a *attached) followWatch(ctx context.Context, c *client.Client) {
	if !a.request.Watch {
		return
	}
	a.reading.Add(1)
	go a.guarded(func() {
		defer a.reading.Done()
		words := watchWords{quiet: a.quietBuild, show: a.screen.Notice}
		defer words.end()
		// Its end is that of the watching, or ours.
		_ = c.FollowWatch(ctx, a.project.name, func(e event.Watch) {
			if e.Time.Before(a.begun) {
				return
			}
			words.tell(e)
		})
	})
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
