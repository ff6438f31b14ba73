package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// limits is how much more a process may have in the last quarter than in the
// second, and how long ps may take.
type limits struct {
	descriptors, goroutines int
	percent                 float64       // of memory; 0 asks nothing
	memory                  int           // KiB; 0 asks nothing
	ps                      time.Duration // 99th percentile; 0 asks nothing
}

// Of an hour, and of the two minutes that are a test on a loaded machine.
var (
	ofAnHour = limits{descriptors: 2, goroutines: 5, percent: 5, ps: 50 * time.Millisecond}
	ofATest  = limits{descriptors: 40, goroutines: 40, memory: 32 << 10}
)

// exceeded lists what is above the limits, one line each.
func (l limits) exceeded(all []growth, asked []answer) []string {
	var out []string
	for _, g := range all {
		name := fmt.Sprintf("%s %d", g.role, g.pid)
		if g.descriptors > l.descriptors {
			out = append(out, fmt.Sprintf("%s has %d descriptors more, had %d", name, g.descriptors, g.before.descriptors))
		}
		if g.goroutines > l.goroutines {
			out = append(out, fmt.Sprintf("%s has %d goroutines more, had %d", name, g.goroutines, g.before.goroutines))
		}
		if l.percent > 0 && g.percent() > l.percent || l.memory > 0 && g.memory > l.memory {
			out = append(out, fmt.Sprintf("%s has %d KiB (%.1f %%) more, had %d", name, g.memory, g.percent(), g.before.memory))
		}
	}
	if p := percentile(asked, 99); l.ps > 0 && p > l.ps {
		out = append(out, fmt.Sprintf("ps took %s at its 99th percentile, wanted %s", p.Round(time.Millisecond), l.ps))
	}
	return out
}

// table is a line per role: what it had in the second quarter and the last,
// and the process that grew most.
func table(all []growth, asked []answer, c counts, duration time.Duration) string {
	roles := map[string][]growth{}
	for _, g := range all {
		roles[g.role] = append(roles[g.role], g)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%-20s %5s  %-22s %-14s %-22s %s\n", "", "", "private memory, MB", "descriptors", "goroutines", "worst process")
	fmt.Fprintf(&out, "%-20s %5s  %-22s %-14s %-22s %s\n", "role", "count", "2nd → last quarter", "2nd → last", "2nd → last", "memory, descriptors")
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		var before, after reading
		worst, opened := -100.0, 0
		for _, g := range roles[role] {
			before.memory, after.memory = before.memory+g.before.memory, after.memory+g.after.memory
			before.descriptors, after.descriptors = before.descriptors+g.before.descriptors, after.descriptors+g.after.descriptors
			before.goroutines, after.goroutines = before.goroutines+g.before.goroutines, after.goroutines+g.after.goroutines
			worst, opened = max(worst, g.percent()), max(opened, g.descriptors)
		}
		goroutines := "-"
		if before.goroutines > 0 {
			goroutines = fmt.Sprintf("%d → %d", before.goroutines, after.goroutines)
		}
		fmt.Fprintf(&out, "%-20s %5d  %-22s %-14s %-22s %+.1f %%, %+d\n", strings.TrimPrefix(role, "mycompose-"), len(roles[role]),
			fmt.Sprintf("%.1f → %.1f", float64(before.memory)/1024, float64(after.memory)/1024),
			fmt.Sprintf("%d → %d", before.descriptors, after.descriptors), goroutines, worst, opened)
	}
	fmt.Fprintf(&out, "ps: p50 %s, p99 %s of %d; exec: %d; up and down of the neighbour: %d; %s\n",
		percentile(asked, 50).Round(100*time.Microsecond), percentile(asked, 99).Round(100*time.Microsecond), c.lists, c.execs, c.ups, duration)
	return out.String()
}
