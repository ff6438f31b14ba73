package cli

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// screenModes are the modes of our terminal that a program in a container has
// changed: an editor that is left, or killed, takes them back no more. It is
// written what the terminal is written.
type screenModes struct {
	mu      sync.Mutex
	changed map[string]bool // by number, or keypad
	rest    []byte          // of a sequence whose end has not come yet
}

// usual says how DEC private modes are where no program has changed them, of
// those that disturb a shell: xterm's control sequences, "DECSET".
var usual = map[string]bool{
	"1": false, "7": true, "25": true, "47": false, "1047": false, "1049": false, // keys, wrapping, cursor, second screens
	"9": false, "1000": false, "1002": false, "1003": false, "1004": false, "1005": false, "1006": false, "1015": false, // mouse, focus
	"2004": false, "2026": false, // pasting, synchronized update
}

// keypad is the mode of `ESC =` and `ESC >`.
const keypad = "keypad"

// longest is how long a sequence of interest may be, in bytes.
const longest = 64

// Write notes what the terminal is told; it never fails.
func (m *screenModes) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := string(m.rest) + string(p)
	m.rest = nil
	for {
		at := strings.IndexByte(text, '\x1b')
		if at < 0 {
			return len(p), nil
		}
		text = text[at:]
		size := m.sequence(text)
		if size == 0 {
			if len(text) <= longest {
				m.rest = []byte(text)
			}
			return len(p), nil
		}
		text = text[size:]
	}
}

// sequence reads one that text begins with, and returns its length; 0: its end
// has not come yet. What is of no interest is skipped.
func (m *screenModes) sequence(text string) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '=', '>':
		m.note(keypad, text[1] == '=')
		return 2
	case 'c': // all is as at the beginning
		m.changed = nil
		return 2
	case '[':
	default:
		return 1
	}
	end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' })
	if end < 0 {
		if len(text) > longest {
			return 2
		}
		return 0
	}
	body, final := text[2:2+end], text[2+end]
	if numbers, private := strings.CutPrefix(body, "?"); private && (final == 'h' || final == 'l') {
		for number := range strings.SplitSeq(numbers, ";") {
			m.note(number, final == 'h')
		}
	}
	return 2 + end + 1
}

func (m *screenModes) note(mode string, on bool) {
	if m.changed == nil {
		m.changed = map[string]bool{}
	}
	if on == usual[mode] {
		delete(m.changed, mode)
		return
	}
	if _, known := usual[mode]; known || mode == keypad {
		m.changed[mode] = on
	}
}

// undo is what makes all of it usual again, second screens last; "" if it is.
func (m *screenModes) undo() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.changed) == 0 {
		return ""
	}
	var first, last strings.Builder
	for _, mode := range slices.Sorted(maps.Keys(m.changed)) {
		switch mode {
		case keypad:
			first.WriteString("\x1b>")
		case "47", "1047", "1049":
			last.WriteString("\x1b[?" + mode + "l")
		default:
			first.WriteString("\x1b[?" + mode + map[bool]string{true: "h", false: "l"}[usual[mode]])
		}
	}
	m.changed = nil
	return first.String() + "\x1b[0m" + last.String()
}
