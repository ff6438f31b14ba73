package crash

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// point is one line of points.txt.
type point struct {
	line   string // as written, without the star
	op     string
	faults []faultLine
	short  bool // part of make test
	// anyVictim: no container in particular is meant.
	anyVictim bool
}

// faultLine is what happens at a seam.
type faultLine struct {
	who    string // the role that passes the seam: daemon, keeper, monitor, stage, builder, cli
	at     string
	hit    int
	action string
}

//go:embed points.txt
var pointList string

// parsePoints reads points.txt: the operation, then WHO AT HIT ACTION, more of
// them behind plus signs.
func parsePoints() ([]point, error) {
	var points []point
	for number, line := range strings.Split(pointList, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		p := point{}
		if words[len(words)-1] == "*" {
			p.short, words = true, words[:len(words)-1]
		}
		p.op, p.line = words[0], strings.Join(words, " ")
		for rest := words[1:]; len(rest) > 0; rest = rest[4:] {
			if rest[0] == "+" {
				rest = rest[1:]
			}
			if len(rest) < 4 {
				return nil, fmt.Errorf("points.txt:%d: want WHO AT HIT ACTION", number+1)
			}
			hit, err := strconv.Atoi(rest[2])
			if err != nil {
				return nil, fmt.Errorf("points.txt:%d: %w", number+1, err)
			}
			p.faults = append(p.faults, faultLine{rest[0], rest[1], hit, rest[3]})
		}
		if slices.ContainsFunc(points, func(o point) bool { return o.line == p.line }) {
			return nil, fmt.Errorf("points.txt:%d: stands there twice", number+1)
		}
		points = append(points, p)
	}
	return points, nil
}

// hits reports whether the point kills or fails a role.
func (p point) hits(role string) bool {
	return slices.ContainsFunc(p.faults, func(f faultLine) bool {
		return f.action == "kill" && f.who == role || f.action == "kill="+role
	})
}

// errno is the text of the error that the point injects, "" if none.
func (p point) errno() string {
	for _, f := range p.faults {
		if text, ok := errnoTexts[f.action]; ok {
			return text
		}
	}
	return ""
}

var errnoTexts = map[string]string{
	"ENOSPC": syscall.ENOSPC.Error(), "EMFILE": syscall.EMFILE.Error(), "ENOMEM": syscall.ENOMEM.Error(), "EIO": syscall.EIO.Error(),
}

func (w *world) faults() string { return filepath.Join(w.state, "faults") }

// arm writes the faults. command is that of the CLI, victim the id of the
// container whose monitor is meant, "" for any.
func (w *world) arm(p point, command, victim string) error {
	if err := os.Mkdir(w.faults(), 0o700); err != nil {
		return err
	}
	if len(p.faults) == 0 { // told to the race by its absence
		return os.WriteFile(filepath.Join(w.faults(), "trace"), nil, 0o600)
	}
	for i, f := range p.faults {
		process := map[string]string{
			"daemon": "mycompose daemon", "keeper": "mycompose-keeper", "builder": "mycompose-builder", "stage": "mycompose-stage",
			"monitor": strings.TrimSpace("mycompose-monitor " + victim[:min(12, len(victim))]), "cli": "mycompose " + command,
		}[f.who]
		action := f.action
		switch {
		case errnoTexts[action] != "":
			action = "errno:" + action
		case action == "kill=keeper" && f.who == "daemon":
			pids := w.roles("keeper")
			if len(pids) != 1 {
				return fmt.Errorf("keepers: %v", pids)
			}
			action = "kill:" + strconv.Itoa(pids[0])
		case action == "kill=monitor" && f.who == "daemon":
			pids := w.roles("monitor " + victim[:min(12, len(victim))])
			if victim == "" || len(pids) == 0 {
				return fmt.Errorf("no monitor of %q", victim)
			}
			// Its stage has its name for an instant, and is younger.
			monitor := slices.MinFunc(pids, func(a, b int) int { return startOf(a) - startOf(b) })
			action = "kill:" + strconv.Itoa(monitor)
		case strings.HasPrefix(action, "kill="):
			action = "hold" // attend kills them
		}
		line := fmt.Sprintf("%s %d %s %s\n", f.at, f.hit, action, process)
		path := filepath.Join(w.faults(), strconv.Itoa(i)+".fault")
		if err := os.WriteFile(path+".new", []byte(line), 0o600); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}

// attend does what a fault leaves to whoever steers, until stop is closed.
func (w *world) attend(p point, stop <-chan struct{}) {
	for i, f := range p.faults {
		done := filepath.Join(w.faults(), strconv.Itoa(i)+".done")
		if f.action != "stop" && !strings.HasPrefix(f.action, "kill=") {
			continue
		}
		for {
			raw, err := os.ReadFile(done)
			if pid, _ := strconv.Atoi(string(raw)); err == nil && pid > 0 {
				w.intervene(f, pid, done)
				break
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}
}

// stopTime is how long a daemon is stopped.
const stopTime = 10 * time.Second

func (w *world) intervene(f faultLine, pid int, done string) {
	if f.action == "stop" {
		time.Sleep(stopTime)
		_ = syscall.Kill(pid, syscall.SIGCONT)
		return
	}
	_, role, _ := strings.Cut(f.action, "=")
	if role == "both" {
		for _, victim := range w.roles("keeper") {
			killOne(victim)
		}
		role = "daemon"
	}
	if f.who != "daemon" || f.action == "kill=both" { // else it kills itself
		for _, victim := range w.roles(role) {
			killOne(victim)
		}
	}
	_ = os.WriteFile(done+".seen", nil, 0o600)
	_ = os.Remove(done)
}

// acted waits until every fault has acted.
func (w *world) acted(p point) error {
	return eventually(func() error {
		for i, f := range p.faults {
			base := filepath.Join(w.faults(), strconv.Itoa(i))
			_, err := os.Lstat(base + ".done")
			_, seen := os.Lstat(base + ".done.seen")
			if err != nil && seen != nil {
				hits, _ := os.Stat(base + ".hits")
				count := int64(0)
				if hits != nil {
					count = hits.Size()
				}
				return fmt.Errorf("%s %s was passed %d times, not %d", f.who, f.at, count, f.hit)
			}
		}
		return nil
	})
}

// disarm moves the folder away first: a process may be about to count.
func (w *world) disarm() error {
	away := w.faults() + ".away"
	err := os.Rename(w.faults(), away)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return eventually(func() error { return os.RemoveAll(away) })
}
