package crash

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// With MYCOMPOSE_CRASH=trace it lists which seams each operation passes and how
// often: what to choose points from. With MYCOMPOSE_CRASH=random:SEED it kills
// each role once at each seam that each operation passes, at a passage that the
// seed chooses: for a person who looks for what points.txt does not have.
func TestTrace(t *testing.T) {
	wanted := os.Getenv("MYCOMPOSE_CRASH")
	seed, random := strings.CutPrefix(wanted, "random:")
	if wanted != "trace" && !random {
		t.Skip("needs MYCOMPOSE_CRASH to be trace or random:SEED")
	}
	kerneltest.NeedRoot(t)
	binary, err := filepath.Abs("../../bin/faults/mycompose")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(t, binary)
	w, err := newWorld(t, binary, r.image)
	if err != nil {
		t.Fatal(err)
	}
	var points []point
	number, _ := strconv.ParseUint(seed, 10, 64)
	dice := rand.New(rand.NewPCG(number, 0))
	for _, name := range slices.Sorted(maps.Keys(operations())) {
		w.traced = nil
		if err := w.try(point{op: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		counts := count(w.traced)
		for _, passed := range slices.Sorted(maps.Keys(counts)) {
			t.Logf("%s %s %d", name, passed, counts[passed])
			words := strings.Fields(passed)
			if words[0] == "cli" || words[0] == "stage" || name == "lock" {
				continue
			}
			if words[0] == "monitor" && (strings.HasPrefix(words[1], "logs:") || strings.HasPrefix(words[1], "wire:")) {
				continue // it could be a neighbour's
			}
			// The last passages may not come another time.
			f := faultLine{words[0], words[1], 1 + dice.IntN(max(1, counts[passed]*3/4)), "kill"}
			points = append(points, point{
				line: fmt.Sprint(name, " ", passed, " ", f.hit, " kill"), op: name, faults: []faultLine{f}, anyVictim: true,
			})
		}
	}
	if err := w.end(); err != nil {
		t.Error(err)
	}
	if random {
		t.Logf("%s", r.tryAll(points).text())
	}
}

func (w *world) readTrace() {
	raw, _ := os.ReadFile(filepath.Join(w.faults(), "trace"))
	w.traced = strings.Split(strings.TrimSpace(string(raw)), "\n")
}

// count counts passages by role and point.
func count(lines []string) map[string]int {
	counts := map[string]int{}
	for _, line := range lines {
		process, at, _ := strings.Cut(line, "\t")
		words := strings.Fields(process)
		if len(words) == 0 {
			continue
		}
		role, small := strings.CutPrefix(words[0], "mycompose-")
		switch {
		case !small && len(words) > 1 && words[1] == "daemon":
			role = "daemon"
		case !small:
			role = "cli"
		}
		counts[role+" "+at]++
	}
	return counts
}
