package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mycompose/mycompose/engine/folder"
)

// systemdUnits is where an administrator's units lie, systemd.unit(5).
const systemdUnits = "/etc/systemd/system"

// unit is the systemd unit of a state folder.
type unit struct {
	name    string
	program string // absolute
	place   folder.Place
}

func (s *session) unit() (unit, error) {
	program, err := os.Executable()
	if err != nil {
		return unit{}, fmt.Errorf("cannot find this program: %w", err)
	}
	u := unit{name: "mycompose.service", program: program, place: s.place}
	if s.place.State != folder.DefaultStateDir {
		u.name = "mycompose-" + s.place.Tag + ".service"
	}
	return u, nil
}

func (u unit) path() string { return filepath.Join(systemdUnits, u.name) }

// text is the unit. Its main process is the keeper; a stop ends only that one,
// which ends the daemon, and containers run on.
func (u unit) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[Unit]")
	line("Description=mycompose containers (%s)", escapeUnit(u.place.State))
	line("Wants=network-online.target")
	line("After=network-online.target local-fs.target")
	line("RequiresMountsFor=%s", quoteUnit(u.place.State))
	line("")
	line("[Service]")
	line("# The main process is the keeper, which starts the daemon.")
	line("Type=notify")
	for _, entry := range u.environment() {
		line("Environment=%s", quoteUnit(entry))
	}
	line("ExecStart=%s system run", quoteUnit(u.program))
	line("# A stop ends keeper and daemon; containers run on and are found again.")
	line("KillMode=process")
	line("Delegate=yes")
	line("Restart=on-failure")
	line("RestartSec=1")
	line("OOMPolicy=continue")
	line("LimitNOFILE=1048576")
	line("TasksMax=infinity")
	line("TimeoutStopSec=30")
	line("")
	line("[Install]")
	line("WantedBy=multi-user.target")
	return b.String()
}

func (u unit) environment() []string {
	env := []string{folder.StateDirVariable + "=" + u.place.State}
	if u.place.RunRoot != folder.DefaultRunRoot {
		env = append(env, folder.RunRootVariable+"="+u.place.RunRoot)
	}
	return env
}

// escapeUnit keeps a percent sign from being a specifier.
func escapeUnit(word string) string { return strings.ReplaceAll(word, "%", "%%") }

// quoteUnit makes one word of a value, systemd.syntax(7). A dollar is doubled:
// only ExecStart would expand it, and no path of ours needs one elsewhere.
func quoteUnit(word string) string {
	word = escapeUnit(word)
	if !strings.ContainsAny(word, " \t\"'\\$;") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// systemdRuns is sd_booted(3).
func systemdRuns() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// systemctl runs it and returns what it printed.
func systemctl(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		if text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return text, fmt.Errorf("cannot run systemctl %s: %w", strings.Join(args, " "), err)
	}
	return text, nil
}

// enable writes the unit and enables it.
func (u unit) enable(ctx context.Context, now bool) error {
	tmp := u.path() + ".tmp"
	if err := os.WriteFile(tmp, []byte(u.text()), 0o644); err != nil {
		return fmt.Errorf("cannot write unit %s: %w", u.name, err)
	}
	if err := os.Rename(tmp, u.path()); err != nil {
		return fmt.Errorf("cannot write unit %s: %w", u.name, errors.Join(err, os.Remove(tmp)))
	}
	if _, err := systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	args := []string{"enable", u.name}
	if now {
		args = []string{"enable", "--now", u.name}
	}
	_, err := systemctl(ctx, args...)
	return err
}

// disable takes the unit away; now stops it too. One that is not there is
// success.
func (u unit) disable(ctx context.Context, now bool) error {
	if _, err := os.Lstat(u.path()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	args := []string{"disable", u.name}
	if now {
		args = []string{"disable", "--now", u.name}
	}
	if _, err := systemctl(ctx, args...); err != nil {
		return err
	}
	if err := os.Remove(u.path()); err != nil {
		return fmt.Errorf("cannot remove unit %s: %w", u.name, err)
	}
	_, err := systemctl(ctx, "daemon-reload")
	return err
}

// state is one line about the unit.
func (u unit) state(ctx context.Context) string {
	_, err := os.Lstat(u.path())
	switch {
	case err != nil && systemdRuns():
		return "not enabled: mycompose system enable starts containers at boot"
	case err != nil:
		return "none; systemd does not run here"
	case !systemdRuns():
		return u.name + ": written; systemd does not run here"
	}
	// is-enabled and is-active exit non-zero with every answer but yes.
	enabled, _ := systemctl(ctx, "is-enabled", u.name)
	active, _ := systemctl(ctx, "is-active", u.name)
	return fmt.Sprintf("%s: %s, %s", u.name, enabled, active)
}

// notifyReady is sd_notify(3) with READY=1.
func notifyReady(socket string) error {
	if socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot tell systemd that we are ready: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("READY=1")); err != nil {
		return fmt.Errorf("cannot tell systemd that we are ready: %w", err)
	}
	return nil
}
