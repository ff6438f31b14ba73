package ui

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Logs shows log lines of several containers, each led by its name.
type Logs struct {
	screen  *Screen
	o       LogOptions
	colour  bool
	sources map[uint16]source
	codes   map[string]string // colours by service
	width   int
	buffer  []byte
	lead    []byte            // of the lines that are being shown
	held    map[uint16][]byte // the beginning of a line that is not ended yet
}

// LogOptions say how lines look.
type LogOptions struct {
	NoPrefix, NoColor, Timestamps bool
	// Buffered lines are written in blocks until Flush: for a read without
	// follow.
	Buffered bool
	// Stderr writes to standard error.
	Stderr bool
}

type source struct {
	name   string
	prefix []byte
	code   string
}

// colours are those of prefixes; a service has the same one each time.
var colours = [...]string{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}

// Logs begins to show logs.
func (s *Screen) Logs(o LogOptions) *Logs {
	terminal := s.o.OutTerminal
	if o.Stderr {
		terminal = s.o.ErrTerminal
	}
	return &Logs{
		screen: s, o: o, colour: !o.NoColor && s.colour(terminal),
		sources: map[uint16]source{}, codes: map[string]string{}, held: map[uint16][]byte{},
	}
}

// Name says how the source with a number is called. A longer name than all
// before widens the prefix of all from here on.
func (l *Logs) Name(number uint16, name string) {
	l.width = max(l.width, len(name))
	l.sources[number] = source{name: name, code: l.colourOf(name)}
	for n, s := range l.sources {
		prefix := fmt.Sprintf("%-*s  | ", l.width, s.name)
		if l.colour {
			prefix = "\x1b[" + s.code + "m" + prefix + "\x1b[0m"
		}
		s.prefix = []byte(prefix)
		l.sources[n] = s
	}
}

// colourOf is the colour of a replica's service. It follows from the name, so
// that it is the same tomorrow and for all replicas; where two services come to
// the same one, the later takes the next that is free.
func (l *Logs) colourOf(name string) string {
	if service, number, found := cutLast(name, "-"); found {
		if _, err := strconv.Atoi(number); err == nil {
			name = service
		}
	}
	if code, known := l.codes[name]; known {
		return code
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	first := int(h.Sum32() % uint32(len(colours)))
	code := colours[first]
	taken := slices.Collect(maps.Values(l.codes))
	for i := range colours {
		if c := colours[(first+i)%len(colours)]; !slices.Contains(taken, c) {
			code = c
			break
		}
	}
	l.codes[name] = code
	return code
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}

// maxLine bounds how much of a line without end is held back, in bytes.
const maxLine = 16 << 20

// Line shows a line, or several of the same time with newlines between them.
// cut: the rest of the last follows in the next Line of that source; until then
// it is held back, so that lines of others cannot split it.
func (l *Logs) Line(number uint16, at time.Time, line []byte, cut bool) error {
	held := l.held[number]
	if cut && len(held) < maxLine {
		l.held[number] = append(held, line...)
		return nil
	}
	prefix := l.prefix(number, at)
	for more := true; more; {
		var one []byte
		one, line, more = bytes.Cut(line, []byte("\n"))
		l.buffer = append(l.buffer, prefix...)
		if len(held) > 0 {
			l.buffer = append(l.buffer, held...)
			held = nil
			delete(l.held, number)
		}
		l.buffer = append(append(l.buffer, one...), '\n')
	}
	if l.o.Buffered && len(l.buffer) < 64<<10 {
		return nil
	}
	return l.Flush()
}

// prefix leads each line of a source at a time.
func (l *Logs) prefix(number uint16, at time.Time) []byte {
	prefix := l.lead[:0]
	if !l.o.NoPrefix {
		prefix = append(prefix, l.sources[number].prefix...)
	}
	if l.o.Timestamps {
		prefix = at.UTC().AppendFormat(prefix, "2006-01-02T15:04:05.000000000Z ")
	}
	l.lead = prefix
	return prefix
}

// Flush writes what is buffered.
func (l *Logs) Flush() error {
	if len(l.buffer) == 0 {
		return nil
	}
	var to io.Writer = l.screen
	if l.o.Stderr {
		to = l.screen.Stderr()
	}
	_, err := to.Write(l.buffer)
	l.buffer = l.buffer[:0]
	return err
}

// Exited says that a container has ended for good.
func (l *Logs) Exited(number uint16, code int) error {
	return l.say(fmt.Sprintf("%s exited with code %d", l.sources[number].name, code))
}

// Again says that a container runs again, after a run that ended with code, or
// that another one took its place.
func (l *Logs) Again(number uint16, recreated bool, code int) error {
	if recreated {
		return l.say(l.sources[number].name + " recreated")
	}
	return l.say(fmt.Sprintf("%s restarted, its last run ended with code %d", l.sources[number].name, code))
}

// Lost says that lines could not be kept.
func (l *Logs) Lost(number uint16, lines int64) error {
	return l.say(fmt.Sprintf("%s lost %d lines that could not be written to the log", l.sources[number].name, lines))
}

func (l *Logs) say(text string) error {
	if l.colour { // off a line that a terminal echoed ^C into
		text = "\r\x1b[K" + text
	}
	l.buffer = append(append(l.buffer, text...), '\n')
	return l.Flush()
}
