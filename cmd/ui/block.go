package ui

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mycompose/mycompose/compose/event"
)

// redraw is the time between two drawings of the block.
const redraw = 100 * time.Millisecond

// block is the moving part of tty mode: one line per resource below a title,
// redrawn in place. What others write scrolls by above it.
type block struct {
	title string
	lines []*blockLine
	index map[string]*blockLine
	drawn int // lines on the terminal now
	turn  int // of the spinner
	stop  chan struct{}
	done  sync.WaitGroup
}

type blockLine struct {
	event   event.Event
	started time.Time
	ended   time.Time
}

// begin opens a block and the goroutine that redraws it; end waits for that.
func (s *Screen) begin(title string) {
	s.end()
	b := &block{title: title, index: map[string]*blockLine{}, stop: make(chan struct{})}
	s.mu.Lock()
	s.block = b
	s.mu.Unlock()
	b.done.Add(1)
	go func() {
		defer b.done.Done()
		ticker := time.NewTicker(redraw)
		defer ticker.Stop()
		for {
			select {
			case <-b.stop:
				return
			case <-ticker.C:
				s.mu.Lock()
				b.turn++
				s.hideLocked()
				s.showLocked()
				s.mu.Unlock()
			}
		}
	}()
}

// end draws the block a last time and leaves it on the terminal.
func (s *Screen) end() {
	s.mu.Lock()
	b := s.block
	if b == nil {
		s.mu.Unlock()
		return
	}
	s.hideLocked()
	s.drawLocked(len(b.lines))
	s.block = nil
	s.mu.Unlock()
	close(b.stop)
	b.done.Wait()
}

// update takes an event into the block.
func (s *Screen) update(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.block
	if b == nil { // ended while the operation goes on: plain from here
		fmt.Fprintln(s.o.Err, plain(e))
		return
	}
	line, ok := b.index[e.ID]
	if !ok {
		line = &blockLine{started: s.o.Now()}
		b.index[e.ID] = line
		b.lines = append(b.lines, line)
	}
	line.event = e
	line.ended = time.Time{}
	if e.Status != event.Working {
		line.ended = s.o.Now()
	}
}

// hideLocked takes the block off the terminal, so that a line can be written
// where it began.
func (s *Screen) hideLocked() {
	if s.block == nil || s.block.drawn == 0 {
		return
	}
	fmt.Fprintf(s.o.Err, "\x1b[%dA\r\x1b[J", s.block.drawn)
	s.block.drawn = 0
}

// showLocked draws the block, cut to the height of the terminal.
func (s *Screen) showLocked() {
	if s.block == nil {
		return
	}
	_, rows := s.o.Size()
	s.drawLocked(max(1, rows-3))
}

func (s *Screen) drawLocked(height int) {
	b := s.block
	if len(b.lines) == 0 {
		return
	}
	columns, _ := s.o.Size()
	text := b.render(s.o.Now(), columns, height, s.colour(s.o.ErrTerminal))
	fmt.Fprint(s.o.Err, text)
	b.drawn = strings.Count(text, "\n")
}

// render gives the block as text: the title with the number of ended ones,
// then lines, those at work first to stay if there is no room for all.
func (b *block) render(now time.Time, columns, height int, colour bool) string {
	ended := 0
	for _, l := range b.lines {
		if l.event.Status != event.Working {
			ended++
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "[+] %s %d/%d\n", b.title, ended, len(b.lines))
	show := b.lines
	if len(show) > height {
		show = b.choose(height - 1)
	}
	for _, l := range show {
		out.WriteString(b.line(l, now, columns, colour))
		out.WriteByte('\n')
	}
	if more := len(b.lines) - len(show); more > 0 {
		fmt.Fprintf(&out, " … %d more\n", more)
	}
	return out.String()
}

// choose keeps n lines in their order: first all at work, then the newest.
func (b *block) choose(n int) []*blockLine {
	keep := map[*blockLine]bool{}
	for _, working := range []bool{true, false} {
		for i := len(b.lines) - 1; i >= 0 && len(keep) < n; i-- {
			if l := b.lines[i]; (l.event.Status == event.Working) == working {
				keep[l] = true
			}
		}
	}
	var out []*blockLine
	for _, l := range b.lines {
		if keep[l] {
			out = append(out, l)
		}
	}
	return out
}

func (b *block) line(l *blockLine, now time.Time, columns int, colour bool) string {
	spinner := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	mark, code := string(spinner[b.turn%len(spinner)]), "34"
	end := now
	switch l.event.Status {
	case event.Done:
		mark, code = "✔", "32"
	case event.Warning:
		mark, code = "!", "33"
	case event.Error:
		mark, code = "✘", "31"
	}
	if !l.ended.IsZero() {
		end = l.ended
	}
	text := l.event.ID + " " + l.event.Text
	if l.event.Details != "" {
		text += " " + firstLine(l.event.Details)
	}
	if l.event.Total > 0 && l.event.Status == event.Working {
		text += fmt.Sprintf(" %s/%s", size(l.event.Current), size(l.event.Total))
	}
	timer := fmt.Sprintf("%.1fs", max(0, end.Sub(l.started).Seconds()))
	room := max(10, columns-4-len(timer)-1)
	text = cut(text, room)
	pad := strings.Repeat(" ", max(1, room-utf8.RuneCountInString(text)+1))
	if !colour {
		return " " + mark + " " + text + pad + timer
	}
	return " \x1b[" + code + "m" + mark + "\x1b[0m " + text + pad + "\x1b[34m" + timer + "\x1b[0m"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// cut shortens text to n characters with an ellipsis.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(0, n-1)]) + "…"
}
