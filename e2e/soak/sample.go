package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mycompose/mycompose/e2e/resident"
)

// sample is what the resident processes had at one moment.
type sample struct {
	at        time.Duration
	processes map[int]reading // by pid
}

// reading is one process. Goroutines are 0 for all but the daemon, which tells
// them (`info`).
type reading struct {
	role                                     string
	descriptors, goroutines, threads, memory int // memory in KiB, private
}

// sample takes one.
func (s *soak) sample(ctx context.Context) error {
	out, err := s.call(ctx, "busy", "info")
	if err != nil {
		return ifGoingOn(ctx, err)
	}
	taken := sample{at: time.Since(s.began), processes: map[int]reading{}}
	for _, p := range resident.Of(s.state) {
		r := reading{role: p.Role, descriptors: resident.Descriptors(p.PID), threads: resident.Threads(p.PID), memory: resident.PrivateKiB(p.PID)}
		if p.Role == "mycompose-daemon" {
			r.goroutines = number(out, "Goroutines:")
		}
		if r.memory > 0 && !p.Spare { // what it has as one is not what it will have
			taken.processes[p.PID] = r
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, taken)
	return nil
}

// number reads what stands behind a name in the lines of info.
func number(text, name string) (n int) {
	_, rest, _ := strings.Cut(text, name)
	_, _ = fmt.Sscan(rest, &n)
	return n
}

// growth is by how much a process has more in the last quarter of the run than
// in the second, median against median. The first quarter is left out: caches
// fill in it.
type growth struct {
	pid                             int
	role                            string
	before, after                   reading
	descriptors, goroutines, memory int // memory in KiB
}

// percent is the growth of memory.
func (g growth) percent() float64 {
	if g.before.memory == 0 {
		return 0
	}
	return 100 * float64(g.memory) / float64(g.before.memory)
}

// grown compares the quarters for each process that was there in both.
func grown(samples []sample, duration time.Duration) []growth {
	second, last := map[int][]reading{}, map[int][]reading{}
	for _, s := range samples {
		for pid, r := range s.processes {
			switch 4 * s.at / duration {
			case 1:
				second[pid] = append(second[pid], r)
			case 3, 4:
				last[pid] = append(last[pid], r)
			}
		}
	}
	var out []growth
	for pid, before := range second {
		after := last[pid]
		if len(after) == 0 {
			continue
		}
		g := growth{pid: pid, role: before[0].role, before: medians(before), after: medians(after)}
		g.descriptors = g.after.descriptors - g.before.descriptors
		g.goroutines = g.after.goroutines - g.before.goroutines
		g.memory = g.after.memory - g.before.memory
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b growth) int { return a.pid - b.pid })
	return out
}

func medians(all []reading) reading {
	median := func(of func(reading) int) int {
		values := make([]int, len(all))
		for i, r := range all {
			values[i] = of(r)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return reading{
		role:        all[0].role,
		descriptors: median(func(r reading) int { return r.descriptors }),
		goroutines:  median(func(r reading) int { return r.goroutines }),
		threads:     median(func(r reading) int { return r.threads }),
		memory:      median(func(r reading) int { return r.memory }),
	}
}

// percentile is the p-th hundredth of what ps took.
func percentile(asked []answer, p int) time.Duration {
	if len(asked) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(asked), func(a, b answer) int { return int(a.took - b.took) })
	return sorted[min(len(sorted)-1, len(sorted)*p/100)].took
}
