package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// workers is how many points are tried at the same time.
const workers = 2

// report is e2e/crash.txt.
const report = "../crash.txt"

func killOne(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }

// At every point every role may die, and every call may fail: see the
// package's documentation. MYCOMPOSE_CRASH=all tries all points and writes the
// report; another value tries the points whose line contains it.
func TestTheMatrix(t *testing.T) {
	kerneltest.NeedRoot(t)
	if wanted := os.Getenv("MYCOMPOSE_CRASH"); wanted == "trace" || strings.HasPrefix(wanted, "random:") {
		t.Skip("needs another MYCOMPOSE_CRASH: trace and random:SEED ask for TestTrace alone")
	}
	binary, err := filepath.Abs("../../bin/faults/mycompose")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v: run make build-faults", err)
	}
	points, err := parsePoints()
	if err != nil {
		t.Fatal(err)
	}
	all := len(points)
	wanted := os.Getenv("MYCOMPOSE_CRASH")
	points = slices.DeleteFunc(points, func(p point) bool {
		if wanted == "" {
			return !p.short
		}
		return wanted != "all" && !strings.Contains(p.line, wanted)
	})
	if len(points) == 0 {
		t.Fatal("no point is chosen")
	}
	outcomes := newRun(t, binary).tryAll(points)
	text := outcomes.text()
	t.Logf("%d of %d points\n%s", len(points), all, text)
	if wanted == "all" {
		if err := os.WriteFile(report, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// run is one run of the matrix.
type run struct {
	t      *testing.T
	binary string
	image  string

	mu        sync.Mutex // guards what follows
	lines     []string
	converged int
	lost      int
	leftovers int
}

func newRun(t *testing.T, binary string) *run {
	return &run{t: t, binary: binary, image: kerneltest.BusyboxTar(t, t.TempDir())}
}

func (r *run) tryAll(points []point) *run {
	next := make(chan point)
	var working sync.WaitGroup
	for range min(workers, len(points)) {
		working.Go(func() { r.work(next) })
	}
	for _, p := range points {
		next <- p
	}
	close(next)
	working.Wait()
	return r
}

// work tries points in one world after the other: one that failed is not used
// any further.
func (r *run) work(points <-chan point) {
	var w *world
	leave := func() {
		if w == nil {
			return
		}
		if err := w.end(); err != nil {
			r.t.Errorf("end of state folder %s: %v", w.state, err)
		}
		r.mu.Lock()
		r.lost, r.leftovers = r.lost+w.lost, r.leftovers+w.leftovers
		r.mu.Unlock()
		w = nil
	}
	defer leave()
	for p := range points {
		var err error
		if w == nil {
			w, err = newWorld(r.t, r.binary, r.image)
		}
		if err == nil {
			err = w.try(p)
		}
		r.note(p, err)
		if err != nil {
			if w != nil {
				r.t.Logf("daemon.log at %q:\n%s", p.line, tail(filepath.Join(w.state, "daemon.log")))
			}
			leave()
		}
	}
}

func tail(path string) string {
	raw, _ := os.ReadFile(path)
	return string(raw[max(0, len(raw)-5000):])
}

func (r *run) note(p point, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	outcome := "converged"
	if err != nil {
		outcome = "FAILED"
		r.t.Errorf("%s: %v", p.line, err)
	} else {
		r.converged++
		r.t.Logf("%s: converged", p.line)
	}
	r.lines = append(r.lines, fmt.Sprintf("%-60s %s", p.line, outcome))
}

// text is the outcome of every point, sorted, and the counts.
func (r *run) text() string {
	slices.Sort(r.lines)
	return fmt.Sprintf("# What became of each point of e2e/crash/points.txt; written by make test-crash.\n%s\npoints %d, converged %d, lost lines %d, leftovers %d\n",
		strings.Join(r.lines, "\n"), len(r.lines), r.converged, r.lost, r.leftovers)
}

// Each operation is tried at ten points at least, and forty are part of make
// test.
func TestThereAreEnoughPoints(t *testing.T) {
	points, err := parsePoints()
	if err != nil {
		t.Fatal(err)
	}
	short, tried := 0, map[string]int{}
	for _, p := range points {
		tried[p.op]++
		if p.short {
			short++
		}
	}
	if short != 40 {
		t.Errorf("%d points are part of make test, want 40", short)
	}
	for op := range operations() {
		if want := 10; tried[op] < want && op != "lock" {
			t.Errorf("%s is tried at %d points, want %d", op, tried[op], want)
		}
	}
}
