package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// operation is one of those that points are tried in.
type operation struct {
	project string
	prepare func(*world) error // before the fault is armed; nil is nothing
	command []string           // the CLI's; its first word names it to a fault
	drive   func(*world) error // beside the command; nil is nothing
	code    int                // that the command ends with
	stdout  string             // that it must have written, "" is anything
	victim  string             // the container whose monitor is meant, "" is any
	finish  func(w *world, t *trial) error
}

// trial is a point while it is tried.
type trial struct {
	point
	operation
	before map[string]process // containers that ran before
	ended  outcome
	// repeated: the command was done again after an error, which starts
	// containers that have ended once more.
	repeated bool
}

// runs says how often a container has begun if nothing was killed: a killed
// monitor adds one run.
func (t *trial) lostMonitor(name string) bool {
	return t.hits("monitor") && (t.victim == "" || t.victim == name)
}

func operations() map[string]operation {
	numbers := strings.Join(strings.Fields("1 2 3 4 5"), "\n") + "\n"
	return map[string]operation{
		"up":   {project: "shop", command: words("up -d"), finish: func(w *world, t *trial) error { return w.shopRuns(t, 2, 1, 1) }},
		"down": {project: "shop", prepare: shopUp, command: words("down -v -t 2"), victim: "work-1", finish: func(*world, *trial) error { return nil }},
		"restart": {project: "shop", prepare: shopUp, command: words("restart -t 2 page work"), victim: "work-1",
			finish: func(w *world, t *trial) error { return w.shopRuns(t, 2, 2, 2) }},
		"recreate": {project: "shop", prepare: func(w *world) error { return errors.Join(shopUp(w), w.stampShop("2")) },
			command: words("up -d work"), finish: func(w *world, t *trial) error {
				return errors.Join(w.shopRuns(t, 2, 2, 2), w.ranOn(t, "page-1"))
			}},
		"scale": {project: "shop", prepare: shopUp, command: words("up -d --scale work=4 work"), finish: func(w *world, t *trial) error {
			return errors.Join(w.shopRuns(t, 4, 1, 1), w.ranOn(t, "page-1", "work-1", "work-2"))
		}},
		"exec": {project: "shop", prepare: shopUp, command: []string{"exec", "-T", "work", "sh", "-c",
			"for i in 1 2 3 4 5; do echo $i; usleep 100000; done; exit 7"}, code: 7, stdout: numbers, victim: "work-1",
			finish: func(w *world, t *trial) error { return w.shopRuns(t, 2, 1, 1) }},
		"storm": {project: "storm", prepare: prepareStorm, command: words("logs -f --no-log-prefix --no-color storm"), drive: letGo,
			victim: "storm-1", finish: (*world).stormIsWhole},
		"health": {project: "pulse", prepare: func(w *world) error { return w.must("pulse", "up", "-d") }, command: words("ps -q"),
			victim: "pulse-1", finish: (*world).pulseBeats},
		"hookup": {project: "ring", prepare: (*world).clearTold, command: words("up -d"), victim: "", finish: (*world).ringIsUp},
		"hookdown": {project: "ring", prepare: func(w *world) error { return errors.Join(w.clearTold(), w.must("ring", "up", "-d")) },
			command: words("stop -t 2"), victim: "ring-1", finish: (*world).ringIsStopped},
		"borrow": {project: "lend", prepare: prepareLend, command: words("up -d"), finish: (*world).lendIsWhole},
		"build":  {project: "made", prepare: prepareMade, command: words("build"), finish: (*world).madeWorks},
		"lock": {project: "shop", prepare: shopUp, command: words("ps -q"), drive: race, finish: func(w *world, t *trial) error {
			return errors.Join(w.shopRuns(t, 2, 1, 1), w.ranOn(t, "page-1", "work-1", "work-2"))
		}},
	}
}

// shopUp brings shop up, and waits until what ends in it has ended.
func shopUp(w *world) error {
	if err := w.must("shop", "up", "-d"); err != nil {
		return err
	}
	return eventually(func() error {
		rows, err := w.ps("shop")
		if err == nil && (rows["once-1"].State != "exited" || rows["flaky-1"].State != "exited") {
			err = fmt.Errorf("once is %s, flaky %s", rows["once-1"].State, rows["flaky-1"].State)
		}
		return err
	})
}

func words(text string) []string { return strings.Fields(text) }

func prepareStorm(w *world) error {
	if err := os.RemoveAll(filepath.Join(w.dir, "storm/go/go")); err != nil {
		return err
	}
	return w.must("storm", "up", "-d")
}

func letGo(w *world) error { return w.write("storm/go/go", "") }

// prepareMade changes the recipe, so that no cache answers.
func prepareMade(w *world) error {
	return w.write("made/Dockerfile", fmt.Sprintf(madeDockerfile, w.nonce()))
}

// try tries one point and returns what is wrong, nil if all is as it would
// have been.
func (w *world) try(p point) error {
	op, ok := operations()[p.op]
	if !ok {
		return fmt.Errorf("there is no operation %q", p.op)
	}
	t := &trial{point: p, operation: op}
	if p.anyVictim {
		t.victim = ""
	}
	if err := w.begin(t); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	errs := []error{w.strike(t)}
	if errs[0] == nil {
		errs = append(errs, op.finish(w, t), w.neighboursLive(t))
	}
	errs = append(errs, w.disarm(), w.stampShop("1"))
	if t.op != "down" || errors.Join(errs...) != nil {
		errs = append(errs, w.must(op.project, "down", "-v", "-t", "2"))
	}
	if t.op == "build" || t.op == "made" {
		errs = append(errs, w.endBuilder())
	}
	if more, less := w.compare(); len(more)+len(less) > 0 {
		w.leftovers += len(more)
		errs = append(errs, fmt.Errorf("left behind: %s; missing: %s", strings.Join(more, ", "), strings.Join(less, ", ")))
	}
	return errors.Join(errs...)
}

func (w *world) begin(t *trial) error {
	if t.prepare != nil {
		if err := t.prepare(w); err != nil {
			return err
		}
	}
	var err error
	if t.before, err = w.processes(t.project); err != nil {
		return err
	}
	victim := ""
	if t.victim != "" {
		rows, err := w.ps(t.project)
		if err != nil {
			return err
		}
		victim = rows[t.victim].ID
		if len(victim) < 12 {
			return fmt.Errorf("%s is not there: %v", t.victim, rows)
		}
	}
	return w.arm(t.point, t.command[0], victim)
}

// strike runs the command with the fault armed and judges how it ended.
func (w *world) strike(t *trial) error {
	stop := make(chan struct{})
	attended := make(chan struct{})
	go func() {
		defer close(attended)
		w.attend(t.point, stop)
	}()
	command, err := w.start(t.project, t.command...)
	if err == nil {
		if t.drive != nil {
			err = t.drive(w)
		}
		var waitErr error
		t.ended, waitErr = command.wait()
		err = errors.Join(err, waitErr)
	}
	if err == nil && len(t.faults) > 0 {
		err = w.acted(t.point)
	}
	close(stop)
	<-attended
	if err != nil {
		return err
	}
	w.readTrace()
	if err := w.disarm(); err != nil {
		return err
	}
	return w.judge(t)
}

// judge: the command ended as it would have, unless it was killed itself, or
// tells the error that was injected: then the next one must do it.
func (w *world) judge(t *trial) error {
	o := t.ended
	switch {
	case t.hits("cli"):
		if o.code != -1 {
			return fmt.Errorf("the killed command ended with %d: %s", o.code, lastLines(o.stderr))
		}
		if err := w.rested(); err != nil {
			return err
		}
		if t.faults[0].at == "client:request" { // it had asked for nothing yet
			return w.again(t)
		}
		return nil
	case t.hits("stage") && o.code != t.code: // a start that came to nothing is told
		return w.again(t)
	case t.op == "hookup" && t.hits("monitor") && o.code != t.code: // its container ended before its hook
		return w.again(t)
	case t.errno() != "" && o.code != t.code:
		if !strings.Contains(o.stderr, t.errno()) {
			return fmt.Errorf("the command failed without the cause %q: %s", t.errno(), lastLines(o.stderr))
		}
		return w.again(t)
	case t.op == "exec" && t.lostMonitor("work-1"):
		if o.code == 0 {
			return errors.New("exec into a container that was killed ended with 0")
		}
		return nil
	case o.code != t.code:
		return fmt.Errorf("the command ended with %d, want %d: %s", o.code, t.code, lastLines(o.stderr))
	case t.stdout != "" && o.stdout != t.stdout:
		return fmt.Errorf("the command wrote %q, want %q", o.stdout, t.stdout)
	}
	return nil
}

// again does the command once more, with no fault.
func (w *world) again(t *trial) error {
	t.repeated = true
	o, err := w.run(t.project, t.command...)
	if err == nil && o.code != t.code {
		err = fmt.Errorf("the second try ended with %d, want %d: %s", o.code, t.code, lastLines(o.stderr))
	}
	return err
}

// rested waits until the daemon works at nothing.
func (w *world) rested() error {
	return eventually(func() error {
		o, err := w.run("", "info")
		if err == nil && !strings.Contains(o.stdout, "At work") {
			err = errors.New(o.stderr)
		}
		for line := range strings.Lines(o.stdout) {
			if strings.HasPrefix(line, "At work") && !strings.Contains(line, "nothing") {
				err = errors.New(line)
			}
		}
		return err
	})
}
