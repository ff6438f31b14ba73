package crash

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func (w *world) nonce() string { return strings.ToLower(rand.Text()[:12]) }

// neighboursLive: what the operation has nothing to do with runs on.
func (w *world) neighboursLive(*trial) error {
	now, err := w.processes("near")
	if err != nil {
		return err
	}
	for name, process := range w.neighbours {
		if now[name] != process {
			return fmt.Errorf("neighbour %s was process %v and is %v", name, process, now[name])
		}
	}
	runs, err := w.numberRuns("near", "count", 1)
	if err == nil && len(runs) != 1 {
		err = fmt.Errorf("neighbour count has begun %d times", len(runs))
	}
	return errors.Join(err, w.answers(w.nearPort, "/busybox"), w.resolves("near", "count"))
}

// answers asks a page until it answers: a lookup or a connection may wait for
// a new daemon, but not for anybody's command.
func (w *world) answers(port int, path string) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return eventually(func() error {
		answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("port %d answers %s", port, answer.Status)
		}
		return nil
	})
}

// resolves: the name page has its address.
func (w *world) resolves(project, from string) error {
	return eventually(func() error {
		return w.must(project, "exec", "-T", from, "nslookup", "page.")
	})
}

// shopRuns: all of shop is as its file says, with so many replicas of work. The
// first two have begun firstRuns times, further ones once; page is not looked
// at for its runs, it says nothing.
func (w *world) shopRuns(t *trial, replicas, firstRuns, _ int) error {
	err := eventually(func() error {
		rows, err := w.ps("shop")
		if err != nil {
			return err
		}
		want := map[string]string{"page-1": "running", "once-1": "exited", "flaky-1": "exited"}
		for n := range replicas {
			want["work-"+strconv.Itoa(n+1)] = "running"
		}
		for name, state := range want {
			if rows[name].State != state {
				return fmt.Errorf("%s is %q, want %s", name, rows[name].State, state)
			}
		}
		if len(rows) != len(want) {
			return fmt.Errorf("%d containers, want %d", len(rows), len(want))
		}
		anyMonitor := t.hits("monitor") && t.victim == "" // 137 then, if it was theirs
		if code := rows["once-1"].ExitCode; code != 3 && !(anyMonitor && code == 137) {
			return fmt.Errorf("once ended with %d, want 3", code)
		}
		if code := rows["flaky-1"].ExitCode; code != 5 && !(anyMonitor && code == 137) {
			return fmt.Errorf("flaky ended with %d, want 5", code)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for n := range replicas {
		want := 1
		if n < 2 {
			want = firstRuns
		}
		errs := w.workRuns(t, n+1, want)
		err = errors.Join(err, errs)
	}
	return errors.Join(err, w.countLines(t, "once", "once", 1), w.countLines(t, "flaky", "run", 3),
		w.answers(w.port, "/hello"), w.resolves("shop", "work"))
}

// workRuns: a replica of work has begun so often, and each time its numbers
// stand in the log once. A killed monitor may cost one run
// more, and so may a second try of the command.
func (w *world) workRuns(t *trial, number, want int) error {
	name := "work-" + strconv.Itoa(number)
	var runs []int
	err := eventually(func() (err error) { // its first number may be on its way
		if runs, err = w.numberRuns("shop", "work", number); err == nil && len(runs) < want {
			err = fmt.Errorf("%s has begun %d times, want %d", name, len(runs), want)
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(runs) == want || (t.lostMonitor(name) || t.repeated) && len(runs) == want+1 {
		return nil
	}
	return fmt.Errorf("%s has begun %d times, want %d: %v", name, len(runs), want, runs)
}

// numberRuns reads the running numbers of a replica: how far each run came.
// Numbers that are missing or stand there twice are an error.
func (w *world) numberRuns(project, service string, number int) ([]int, error) {
	o, err := w.run(project, "logs", "--no-log-prefix", "--no-color", "--index", strconv.Itoa(number), service)
	if err != nil {
		return nil, err
	}
	if o.code != 0 {
		return nil, fmt.Errorf("logs: %s", lastLines(o.stderr))
	}
	return w.runsOf(o.stdout)
}

var (
	lostNote  = regexp.MustCompile(`^(\d+) lines? lost: `)
	againMark = regexp.MustCompile(`^[a-z]+-\d+ restarted, its last run ended with code \d+$`)
)

// runsOf reads running numbers. Lines that a note of the monitor counts as lost
// may be missing, and what a monitor was killed while it wrote may be cut: an
// exact prefix, with the next run behind it.
func (w *world) runsOf(text string) ([]int, error) {
	var runs []int
	last, missing := 0, 0
	cut := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if againMark.MatchString(line) { // what follows logs may see a restart
			continue
		}
		if note := lostNote.FindStringSubmatch(line); note != nil {
			missing, _ = strconv.Atoi(note[1])
			continue
		}
		n, err := strconv.Atoi(line)
		switch {
		case err != nil:
			return runs, fmt.Errorf("strange line %q behind %d", line, last)
		case n == 1:
			runs = append(runs, 1)
			cut = false
		case n == last+1+missing && len(runs) > 0 && !cut:
			runs[len(runs)-1] = n
		case n == 1+missing && len(runs) == 0: // the note stands for its first lines
			runs = append(runs, n)
		case strings.HasPrefix(strconv.Itoa(last+1), line) && len(runs) > 0 && !cut:
			cut = true // the next run must follow
			continue
		default:
			w.lost += max(1, n-last-1)
			return runs, fmt.Errorf("%d follows %d", n, last)
		}
		last, missing = n, 0
	}
	if cut {
		return runs, fmt.Errorf("the line behind %d is cut and nothing follows", last)
	}
	return runs, nil
}

// countLines counts a word in the logs of a service: how often it has begun. A
// note of the monitor stands for as many lines as it counts as lost.
func (w *world) countLines(t *trial, service, word string, want int) error {
	return eventually(func() error {
		o, err := w.run("shop", "logs", "--no-log-prefix", "--no-color", service)
		if err != nil {
			return err
		}
		got := strings.Count(o.stdout, word+"\n")
		for line := range strings.Lines(o.stdout) {
			if note := lostNote.FindStringSubmatch(line); note != nil {
				lost, _ := strconv.Atoi(note[1])
				got += lost
			}
		}
		if got == want || t.repeated && got%want == 0 && got <= 2*want || t.hits("monitor") && t.victim == "" && got >= want-1 && got <= want+1 {
			return nil
		}
		return fmt.Errorf("%s has begun %d times, want %d", service, got, want)
	})
}

// ranOn: containers that nobody wanted to change are the same processes.
func (w *world) ranOn(t *trial, names ...string) error {
	now, err := w.processes(t.project)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !t.lostMonitor(name) && now[name] != t.before[name] {
			return fmt.Errorf("%s was process %v and is %v", name, t.before[name], now[name])
		}
	}
	return nil
}

// stormIsWhole: all lines are stored and were followed, once and in order.
func (w *world) stormIsWhole(t *trial) error {
	err := eventually(func() error {
		rows, err := w.ps("storm")
		if r := rows["storm-1"]; err == nil && (r.State != "exited" || r.ExitCode != 0) {
			err = fmt.Errorf("storm is %s with %d", r.State, r.ExitCode)
		}
		return err
	})
	if err != nil {
		return err
	}
	texts := map[string]string{}
	o, err := w.run("storm", "logs", "--no-log-prefix", "--no-color", "storm")
	if err != nil {
		return err
	}
	texts["stored"] = o.stdout
	if !t.hits("cli") {
		texts["followed"] = strings.ReplaceAll(t.ended.stdout, "storm-1 exited with code 0\n", "")
	}
	for what, text := range texts {
		runs, err := w.runsOf(text)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if len(runs) == 0 || runs[len(runs)-1] != stormLines || len(runs) > 1 && !t.lostMonitor("storm-1") || len(runs) > 2 {
			return fmt.Errorf("%s: the runs came to %v, want %d", what, runs, stormLines)
		}
	}
	return nil
}

// pulseBeats: its health goes on changing, and it runs on.
func (w *world) pulseBeats(t *trial) error {
	for _, health := range []string{"healthy", "unhealthy", "healthy"} {
		err := eventually(func() error {
			rows, err := w.ps("pulse")
			if got := rows["pulse-1"].Health; err == nil && got != health {
				err = fmt.Errorf("pulse is %q, want %s", got, health)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	runs, err := w.numberRuns("pulse", "pulse", 1)
	want := 1
	if t.lostMonitor("pulse-1") {
		want = 2
	}
	if err == nil && len(runs) != want {
		err = fmt.Errorf("pulse has begun %d times, want %d", len(runs), want)
	}
	return errors.Join(err, w.ranOn(t, "pulse-1"))
}

// madeWorks: the image that was built holds what its recipe says.
func (w *world) madeWorks(*trial) error {
	recipe, err := os.ReadFile(filepath.Join(w.dir, "made/Dockerfile"))
	if err != nil {
		return err
	}
	want := strings.Fields(string(recipe))[4]
	o, err := w.run("made", "run", "--rm", "-T", "made")
	if err == nil && (o.code != 0 || o.stdout != want+"\nnone\n") {
		err = fmt.Errorf("made wrote %q with code %d, want %s: %s", o.stdout, o.code, want, lastLines(o.stderr))
	}
	return err
}

// openSmall opens the small program that a keeper holds.
func openSmall(keeper int) (*os.File, error) {
	for _, fd := range glob(fmt.Sprintf("/proc/%d/fd/*", keeper)) {
		if to, _ := os.Readlink(fd); strings.Contains(to, "memfd:mycompose-small") {
			return os.Open(fd)
		}
	}
	return nil, fmt.Errorf("keeper %d has no small program", keeper)
}

// race starts further daemons, as a keeper would, while one runs or has just
// been killed: one of all holds the lock, the others leave, and a command waits
// for the one, however long it takes to be there.
func race(w *world) error {
	keepers := w.roles("keeper")
	if len(keepers) != 1 {
		return fmt.Errorf("keepers: %v", keepers)
	}
	small, err := openSmall(keepers[0])
	if err != nil {
		return err
	}
	defer small.Close()
	binary, err := os.Open(w.binary)
	if err != nil {
		return err
	}
	defer binary.Close()
	log, err := os.OpenFile(filepath.Join(w.state, "daemon.log"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	for _, pid := range w.roles("daemon") {
		if _, err := os.Lstat(filepath.Join(w.faults(), "0.fault")); err == nil {
			killOne(pid)
		}
	}
	late, err := w.start("shop", "ps", "-q") // whose patience is short
	if err != nil {
		return err
	}
	for range 4 { // with or without one of the keeper three lose
		intruder := exec.Command(w.binary, "daemon", "--state-dir", w.state)
		intruder.Args[0] = "mycompose"
		intruder.Dir, intruder.Env = "/", []string{"MYCOMPOSE_STATE_DIR=" + w.state}
		intruder.Stdout, intruder.Stderr = log, log
		intruder.ExtraFiles = []*os.File{binary, small}
		if err := intruder.Start(); err != nil {
			return err
		}
		go func() { _ = intruder.Wait() }() // at once, or with the engine
	}
	err = eventually(func() error {
		if daemons := w.roles("daemon"); len(daemons) != 1 {
			return fmt.Errorf("daemons: %v", daemons)
		}
		return nil
	})
	o, waitErr := late.wait()
	if waitErr == nil && o.code != 0 {
		waitErr = fmt.Errorf("a command beside the race ended with %d: %s", o.code, lastLines(o.stderr))
	}
	return errors.Join(err, waitErr)
}
