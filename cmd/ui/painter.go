package ui

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/compose/event"
)

// frameTime is the least time between two frames: eight a second, so that with
// the last one, which is drawn when the operation ends, no second sees more than
// ten. spin is how long a mark of the spinner stands.
const (
	frameTime = 125 * time.Millisecond
	spin      = frameTime
)

// Synchronized update (DEC private mode 2026): the terminal shows what comes
// between the two at once. Terminals that do not know it ignore it.
const (
	beginUpdate = "\x1b[?2026h"
	endUpdate   = "\x1b[?2026l"
)

// mostHeld bounds what is held back for the next frame, in bytes; more is
// written at once.
const mostHeld = 256 << 10

// painter draws a board at the bottom of the terminal. What others write
// meanwhile is held back and scrolls by above it with the next frame.
//
//	begin ──▶ frame ──▶ frame ──▶ … ──▶ end: the last frame stays
//	            └ every frameTime, if anything looks different
type painter struct {
	board   *board
	drawn   []string // on the terminal now
	columns int      // of the terminal when they were drawn
	held    []chunk
	size    int // bytes of held
	stop    chan struct{}
	done    sync.WaitGroup
}

// chunk is text for one of the two streams.
type chunk struct {
	out  bool // to standard output
	text []byte
}

// begin shows a board and starts the goroutine that draws it; end waits for
// that.
func (s *Screen) begin(title string) {
	s.end()
	p := &painter{board: newBoard(title, s.o.Now()), stop: make(chan struct{})}
	s.mu.Lock()
	s.painter = p
	s.mu.Unlock()
	p.done.Add(1)
	go func() {
		defer p.done.Done()
		ticker := time.NewTicker(frameTime)
		defer ticker.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-s.o.Continued: // somebody else wrote meanwhile: draw below
				s.mu.Lock()
				p.drawn = nil
				s.mu.Unlock()
			case <-ticker.C:
				s.mu.Lock()
				if s.painter == p { // else it has just ended
					s.frameLocked()
				}
				s.mu.Unlock()
			}
		}
	}()
}

// end draws a last frame and leaves it on the terminal. It may be called twice.
func (s *Screen) end() {
	s.mu.Lock()
	p := s.painter
	if p == nil {
		s.mu.Unlock()
		return
	}
	s.frameLocked()
	for _, c := range p.held { // of lines that never ended
		s.stream(c.out).Write(c.text)
	}
	s.painter = nil
	s.mu.Unlock()
	close(p.stop)
	p.done.Wait()
}

// update takes an event into the board.
func (s *Screen) update(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.painter == nil { // ended while the operation goes on: plain from here
		if e.ParentID == "" {
			fmt.Fprintln(s.o.Err, plain(e))
		}
		return
	}
	s.painter.board.take(e, s.o.Now())
}

// updateOutput takes what a build told into the board and reports whether there
// is one.
func (s *Screen) updateOutput(e event.Event, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.painter == nil {
		return false
	}
	s.painter.board.takeOutput(e, name, s.o.Now())
	return true
}

// writeLocked writes to one of the streams, or holds it for the next frame if
// it goes to the terminal that is drawn on.
func (s *Screen) writeLocked(out bool, p []byte) (int, error) {
	if s.painter == nil || out && !s.o.OutTerminal {
		return s.stream(out).Write(p)
	}
	s.painter.held = append(s.painter.held, chunk{out, bytes.Clone(p)})
	s.painter.size += len(p)
	if s.painter.size > mostHeld {
		s.frameLocked()
	}
	return len(p), nil
}

// release gives what is held up to the last line's end; the rest stays held.
func (p *painter) release() []chunk {
	last := -1
	for i, c := range p.held {
		if bytes.HasSuffix(c.text, []byte("\n")) {
			last = i
		}
	}
	free := p.held[:last+1]
	p.held = p.held[last+1:]
	p.size = 0
	for _, c := range p.held {
		p.size += len(c.text)
	}
	return free
}

// frameLocked draws what looks different from what stands on the terminal, as
// one synchronized update.
func (s *Screen) frameLocked() {
	p := s.painter
	columns, rows := s.o.Size()
	lines := p.board.frame(view{now: s.o.Now(), columns: columns, rows: rows, colour: s.colour(s.o.ErrTerminal)})
	above := p.release()
	resized := len(p.drawn) > 0 && columns != p.columns
	if len(above) == 0 && slices.Equal(lines, p.drawn) && !resized {
		return
	}
	var text strings.Builder
	text.WriteString(beginUpdate)
	back(&text, min(rowsOf(p.drawn, p.columns, columns), max(0, rows-1)))
	if len(above) > 0 || resized {
		text.WriteString("\x1b[J")
		p.drawn = nil
	}
	for _, c := range above {
		if c.out { // the order between the streams is kept
			s.o.Err.Write([]byte(text.String()))
			text.Reset()
			s.o.Out.Write(c.text)
			continue
		}
		text.Write(c.text)
	}
	redraw(&text, p.drawn, lines)
	text.WriteString(endUpdate)
	s.o.Err.Write([]byte(text.String()))
	p.drawn, p.columns = lines, columns
}

// rowsOf is how many rows drawn lines take now: most terminals wrap them anew
// when they become narrower.
func rowsOf(drawn []string, before, now int) int {
	if now >= before || now <= 0 {
		return len(drawn)
	}
	rows := 0
	for _, l := range drawn {
		rows += max(1, (cells(withoutEscapes(l))+now-1)/now)
	}
	return rows
}

// back moves the cursor up to the beginning of the line so many rows above.
func back(to *strings.Builder, rows int) {
	if rows > 0 {
		fmt.Fprintf(to, "\x1b[%dA", rows)
	}
	to.WriteByte('\r')
}

// redraw writes the lines that differ and clears what is below.
func redraw(to *strings.Builder, drawn, lines []string) {
	for i, l := range lines {
		if i >= len(drawn) || drawn[i] != l {
			to.WriteString(l + "\x1b[K")
		}
		to.WriteString("\r\n")
	}
	to.WriteString("\x1b[J")
}

func withoutEscapes(text string) string {
	var out strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "\x1b[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		_, rest, _ = strings.Cut(after, "m")
	}
}
