package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// stored is ratios.json: what make bench-write found and make bench-check
// compares with.
type stored struct {
	Date    string           `json:"date"`
	Machine string           `json:"machine"`
	Rows    map[string]ratio `json:"rows"`
}

// ratio is a row's number, and the same in runs of runc of the same minutes,
// so that a slower machine is not taken for slower code: times are divided by
// runc's, rates multiplied with it; memory is itself.
type ratio struct {
	Value float64 `json:"value"`
	Unit  unit    `json:"unit"`
	Runc  float64 `json:"runc_ms,omitempty"`
	Ratio float64 `json:"ratio"`
}

// ratioOf is false for a row without a number of ours.
func ratioOf(r *row) (ratio, bool) {
	if len(r.ours.values) == 0 {
		return ratio{}, false
	}
	x := ratio{Value: r.ours.median(), Unit: r.unit, Runc: r.runc.median()}
	x.Ratio = x.Value
	if x.Runc > 0 {
		switch r.unit {
		case millis:
			x.Ratio = x.Value / x.Runc
		case rate:
			x.Ratio = x.Value * x.Runc / 1000
		}
	}
	return x, true
}

// worse is by how much now is worse than before: 1.25 is a quarter.
func worse(before, now ratio) float64 {
	if before.Unit != now.Unit || before.Ratio == 0 || now.Ratio == 0 {
		return 0
	}
	if now.Unit == rate {
		return before.Ratio / now.Ratio
	}
	return now.Ratio / before.Ratio
}

// told is from which change on a row is named by bench-check.
const told = 1.25

// compare says what got worse by more than a quarter, and what is new.
func compare(before stored, rows []*row) string {
	var lines []string
	checked := 0
	for _, r := range rows {
		now, ok := ratioOf(r)
		if !ok {
			continue
		}
		was, known := before.Rows[r.key]
		if !known {
			lines = append(lines, fmt.Sprintf("new:   %s: %s", r.what, r.unit.show(now.Value)))
			continue
		}
		checked++
		if by := worse(was, now); by > told {
			lines = append(lines, fmt.Sprintf("worse: %s: %.2f times its ratio of %s (%s, was %s)",
				r.what, by, before.Date, r.unit.show(now.Value), was.Unit.show(was.Value)))
		}
	}
	slices.Sort(lines)
	lines = append(lines, fmt.Sprintf("%d rows compared with those of %s, by their ratio to runc run of the same run", checked, before.Date))
	return strings.Join(lines, "\n")
}

func readRatios(path string) (stored, error) {
	var s stored
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil {
		return s, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return s, nil
}

// writeRatios keeps the rows that this run did not measure.
func writeRatios(path, date, machine string, rows []*row) error {
	s, err := readRatios(path)
	if err != nil {
		return err
	}
	if s.Rows == nil {
		s.Rows = map[string]ratio{}
	}
	s.Date, s.Machine = date, machine
	for _, r := range rows {
		if x, ok := ratioOf(r); ok {
			s.Rows[r.key] = x
		}
	}
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

// The README's table stands between these lines.
const (
	beginMark = "<!-- bench: make bench-write writes from here -->"
	endMark   = "<!-- bench: to here -->"
)

// intoReadme puts text between the marks.
func intoReadme(readme, text string) (string, error) {
	head, rest, ok := strings.Cut(readme, beginMark)
	_, tail, also := strings.Cut(rest, endMark)
	if !ok || !also {
		return "", errors.New("README.md lacks the two lines between which the table goes")
	}
	return head + beginMark + "\n\n" + strings.TrimSpace(text) + "\n\n" + endMark + tail, nil
}
