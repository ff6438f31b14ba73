package load

import (
	"fmt"
	"strconv"
	"strings"
)

// CheckProcessors checks cpuset: against the processors that a host has, in the
// same form: "0-3,8". What the file alone shows, Load has checked; `config` does
// not ask here, as another host may be meant.
func (r *Result) CheckProcessors(online string) error {
	var found problems
	for _, name := range r.Services() {
		cpuset := r.Project.Services[name].Resources.CPUSet
		for _, asked := range cpuRanges(cpuset) {
			if missing, ok := firstMissing(asked, cpuRanges(online)); ok {
				path := "services." + name + ".cpuset"
				found.add(r.Positions.At(path), path, fmt.Sprintf("%s: this host has no processor %d", path, missing), "its processors are "+online)
				break
			}
		}
	}
	return found.err()
}

// NeedsProcessors says whether CheckProcessors has anything to check.
func (r *Result) NeedsProcessors() bool {
	for _, s := range r.Project.Services {
		if s.Resources.CPUSet != "" {
			return true
		}
	}
	return false
}

// cpuRange is first to last, both included.
type cpuRange struct{ first, last int }

// cpuRanges reads a list such as "0-3,5"; what is no number is left out.
func cpuRanges(text string) []cpuRange {
	var out []cpuRange
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		low, high, ranged := strings.Cut(part, "-")
		first, err := strconv.Atoi(low)
		if err != nil {
			continue
		}
		last := first
		if ranged {
			if last, err = strconv.Atoi(high); err != nil {
				continue
			}
		}
		out = append(out, cpuRange{first, last})
	}
	return out
}

// firstMissing is the first processor of a range that is in none of the others.
func firstMissing(asked cpuRange, online []cpuRange) (int, bool) {
	at := asked.first
	for moved := true; moved; {
		moved = false
		for _, r := range online {
			if r.first <= at && at <= r.last {
				at, moved = r.last+1, true
			}
		}
	}
	return at, at <= asked.last
}
