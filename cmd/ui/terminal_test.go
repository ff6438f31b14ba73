package ui

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// terminal is a fake one: it understands what the painter uses and nothing
// else, keeps what scrolled away, and counts frames.
type terminal struct {
	t             testing.TB
	mu            sync.Mutex
	columns, rows int
	lines         []string // scrolled away ones first
	row, column   int      // row counts from the first line of all
	frames        []time.Time
	inFrame       bool
	tallest       int // rows of the tallest frame
	top           int // row at which the frame began to draw
}

func newTerminal(t testing.TB, columns, rows int) *terminal {
	return &terminal{t: t, columns: columns, rows: rows, lines: []string{""}}
}

func (v *terminal) size() (int, int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.columns, v.rows
}

func (v *terminal) resize(columns, rows int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.columns, v.rows = columns, rows
}

// screen is what is visible, without trailing blanks.
func (v *terminal) screen() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out strings.Builder
	for _, l := range v.lines[max(0, len(v.lines)-v.rows):] {
		out.WriteString(strings.TrimRight(l, " ") + "\n")
	}
	return out.String()
}

func (v *terminal) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for rest := p; len(rest) > 0; {
		if bytes.HasPrefix(rest, []byte("\x1b[")) {
			end := bytes.IndexFunc(rest[2:], func(r rune) bool { return r >= '@' && r <= '~' })
			v.escape(string(rest[2:2+end]), rest[2+end])
			rest = rest[3+end:]
			continue
		}
		r := []rune(string(rest))[0]
		rest = rest[len(string(r)):]
		v.put(r)
	}
	return len(p), nil
}

func (v *terminal) put(r rune) {
	switch r {
	case '\r':
		v.column = 0
	case '\n': // a terminal's line discipline adds the return
		v.column = 0
		v.row++
		if v.row == len(v.lines) {
			v.lines = append(v.lines, "")
		}
		if v.inFrame && v.row-v.top > v.tallest {
			v.tallest = v.row - v.top
		}
	default:
		if r < ' ' {
			v.t.Errorf("control character %q reaches the terminal", r)
		}
		if v.column+cellsOf(r) > v.columns {
			v.put('\n')
		}
		line := []rune(v.lines[v.row])
		for len(line) < v.column {
			line = append(line, ' ')
		}
		v.lines[v.row] = string(append(line[:v.column:v.column], append([]rune{r}, line[min(len(line), v.column+1):]...)...))
		v.column++
	}
}

func (v *terminal) escape(parameter string, kind byte) {
	n, _ := strconv.Atoi(parameter)
	switch fmt.Sprintf("%s%c", parameter, kind) {
	case "?2026h":
		if v.inFrame {
			v.t.Error("a frame begins inside of a frame")
		}
		v.inFrame = true
		v.top = v.row
		v.frames = append(v.frames, time.Now())
		return
	case "?2026l":
		v.inFrame = false
		return
	}
	switch kind {
	case 'A':
		v.row -= n
		if v.row < len(v.lines)-v.rows {
			v.t.Errorf("the cursor is moved above the screen, to line %d of %d", v.row, len(v.lines))
			v.row = max(0, v.row)
		}
		v.top = v.row
	case 'J':
		v.clearLine()
		v.lines = v.lines[:v.row+1]
	case 'K':
		v.clearLine()
	case 'm':
	default:
		v.t.Errorf("escape %q%c", parameter, kind)
	}
	if !v.inFrame {
		v.t.Errorf("escape %q%c outside of a synchronized update", parameter, kind)
	}
}

func (v *terminal) clearLine() {
	line := []rune(v.lines[v.row])
	v.lines[v.row] = string(line[:min(len(line), v.column)])
}

// perSecond is the largest number of frames within any second.
func (v *terminal) perSecond() int {
	most := 0
	for i := range v.frames {
		n := 0
		for _, at := range v.frames[i:] {
			if at.Sub(v.frames[i]) < time.Second {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
