package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// With MYCOMPOSE_CRASH=trace it lists which seams each operation passes and how
// often: what to choose points from.
func TestTrace(t *testing.T) {
	if os.Getenv("MYCOMPOSE_CRASH") != "trace" {
		t.Skip("MYCOMPOSE_CRASH=trace is not set")
	}
	kerneltest.NeedRoot(t)
	binary, err := filepath.Abs("../../bin/faults/mycompose")
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(t, binary, kerneltest.BusyboxTar(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.end(); err != nil {
			t.Error(err)
		}
	}()
	for name := range operations() {
		w.traced = nil
		if err := w.try(point{op: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s passes\n%s", name, count(w.traced))
	}
}

func (w *world) readTrace() {
	raw, _ := os.ReadFile(filepath.Join(w.faults(), "trace"))
	w.traced = strings.Split(strings.TrimSpace(string(raw)), "\n")
}

func count(lines []string) string {
	counts := map[string]int{}
	for _, line := range lines {
		process, at, _ := strings.Cut(line, "\t")
		role, _, _ := strings.Cut(strings.Replace(process, "mycompose daemon", "daemon", 1), " ")
		counts[role+" "+at]++
	}
	var out []string
	for what, n := range counts {
		out = append(out, fmt.Sprintf("  %s %d", what, n))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
