package main

import (
	"fmt"
	"slices"
	"strings"
)

// unit says how a row's numbers read and which way is better.
type unit string

const (
	millis unit = "ms" // less is better
	mega   unit = "MB" // less is better
	rate   unit = "/s" // more is better
)

// row is one line of the table.
type row struct {
	key, what string
	unit      unit
	// goal is the design's, in the design's words.
	goal string
	// ours are mycompose's numbers; peers stand beside them in the order in
	// which they first ran; floor is what the bare kernel, or a library that all are
	// built on, needs.
	ours, runc, floor series
	peers             []*series
}

// series is what one tool took, run by run.
type series struct {
	name   string
	values []float64
}

func (s *series) add(value float64) { s.values = append(s.values, value) }

// median is 0 where nothing was measured.
func (s *series) median() float64 {
	if len(s.values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s.values))
	return sorted[len(sorted)/2]
}

// of is the series of a tool.
func (r *row) of(name string) *series {
	if name == "mycompose" {
		return &r.ours
	}
	for _, p := range r.peers {
		if p.name == name {
			return p
		}
	}
	r.peers = append(r.peers, &series{name: name})
	return r.peers[len(r.peers)-1]
}

// factor is how many times better ours is than another number.
func (r *row) factor(other float64) float64 {
	mine := r.ours.median()
	if r.unit == rate {
		mine, other = other, mine
	}
	if mine == 0 {
		return 0
	}
	return other / mine
}

// show writes a number in the row's unit, with three digits that count.
func (u unit) show(value float64) string {
	switch {
	case u == rate:
		return thousands(value) + "/s"
	case value < 10:
		return fmt.Sprintf("%.2f %s", value, u)
	case value < 100:
		return fmt.Sprintf("%.1f %s", value, u)
	default:
		return fmt.Sprintf("%.0f %s", value, u)
	}
}

func thousands(value float64) string {
	digits := fmt.Sprintf("%.0f", value)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// cells are the row's columns: what, floor, mycompose, peers, factors, times
// runc run, goal.
func (r *row) cells() []string {
	var peers, factors []string
	for _, p := range r.peers {
		if len(p.values) > 0 {
			peers = append(peers, p.name+" "+r.unit.show(p.median()))
			factors = append(factors, fmt.Sprintf("%.2g×", r.factor(p.median())))
			if f := r.factor(p.median()); f >= 100 {
				factors[len(factors)-1] = fmt.Sprintf("%.0f×", f)
			}
		}
	}
	floor, times, mine := "", "", ""
	if len(r.floor.values) > 0 {
		floor = r.unit.show(r.floor.median())
	}
	if len(r.ours.values) > 0 {
		mine = r.unit.show(r.ours.median())
	}
	if runc := r.runc.median(); r.unit == millis && runc > 0 && mine != "" {
		times = fmt.Sprintf("%.2f", r.ours.median()/runc)
	}
	return []string{r.what, floor, mine, strings.Join(peers, ", "), strings.Join(factors, ", "), times, r.goal}
}

var columns = []string{"what", "floor", "mycompose", "peers", "better by", "÷ runc run", "goal"}

// markdown is the table, its columns padded so that it reads as text too.
func markdown(rows []*row) string {
	lines := [][]string{columns}
	for _, r := range rows {
		if len(r.ours.values) > 0 || len(r.peers) > 0 {
			lines = append(lines, r.cells())
		}
	}
	widths := make([]int, len(columns))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var out strings.Builder
	for n, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(&out, "| %-*s ", widths[i], cell)
		}
		out.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				out.WriteString("|" + strings.Repeat("-", width+2))
			}
			out.WriteString("|\n")
		}
	}
	return out.String()
}

// text is the row as one line, printed when it has been measured.
func (r *row) text() string {
	c := r.cells()
	line := fmt.Sprintf("%-58s %10s", c[0], c[2])
	if c[3] != "" {
		line += "   " + c[3] + " (" + c[4] + ")"
	}
	if c[1] != "" {
		line += "   floor " + c[1]
	}
	if c[6] != "" {
		line += "   goal " + c[6]
	}
	return line
}
