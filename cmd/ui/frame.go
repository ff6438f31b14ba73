package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/mycompose/mycompose/compose/event"
)

// view is what a frame depends on beside the board.
type view struct {
	now           time.Time
	columns, rows int
	colour        bool
}

// rank orders items for a screen that has no room for all: the lowest stay.
const (
	rankFailed = iota
	rankWorking
	rankBlocked
	rankPart
	rankDone
)

// line is one line of a frame before it is laid out.
type line struct {
	rank       int
	mark, code string
	indent     int
	id, text   string
	tail       string  // behind the bar
	bar        float64 // 0 to 1; below 0 there is none
	took       time.Duration
}

// widest is the most columns that a frame uses: further apart, a line and its
// timer are hard to read together.
const widest = 110

// frame draws the board as lines, at most rows-1, each narrower than columns:
// the title, failures, then everything in the order it began. What has no room
// is counted in a last line.
func (b *board) frame(v view) []string {
	if len(b.items) == 0 || v.rows < 2 {
		return nil
	}
	v.columns = min(v.columns, widest)
	ended, all := b.counts()
	title := fmt.Sprintf("[+] %s %d/%d", b.title, ended, all)
	out := []string{cut(title, v.columns-1)}
	lines := b.lines(v)
	room := max(0, v.rows-1-len(out))
	shown, hidden := choose(lines, room)
	width := idWidth(shown, v.columns)
	for _, l := range shown {
		out = append(out, l.draw(v, width))
	}
	if hidden != "" && len(out) < v.rows-1 {
		out = append(out, cut("   "+hidden, v.columns-1))
	}
	return out
}

// lines are all that could be shown, failures first.
func (b *board) lines(v view) []line {
	blocked := b.blocked()
	var failed, rest []line
	for _, i := range b.items {
		l := i.line(v, blocked)
		if l.rank == rankFailed {
			failed = append(failed, l)
			continue
		}
		rest = append(rest, l)
		if !i.working() {
			continue
		}
		for _, p := range i.parts {
			if p.working() {
				rest = append(rest, p.partLine(v))
			}
		}
	}
	return append(failed, rest...)
}

var spinner = [...]string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

func (i *item) line(v view, blocked map[string]string) line {
	e := i.event
	end := v.now
	if !i.ended.IsZero() {
		end = i.ended
	}
	l := line{id: clean(i.id), text: clean(e.Text), bar: -1, took: max(0, end.Sub(i.began))}
	if e.Details != "" {
		l.text += " " + clean(e.Details)
	}
	switch e.Status {
	case event.Error:
		l.rank, l.mark, l.code = rankFailed, "✘", "31"
		return l
	case event.Warning:
		l.rank, l.mark, l.code = rankDone, "!", "33"
		return l
	case event.Done:
		l.rank, l.mark, l.code = rankDone, "✔", "32"
		if for_ := blocked[e.Service]; for_ != "" && e.Text == "Created" {
			l.rank, l.mark, l.code = rankBlocked, "·", "34"
			l.text += ", waits for " + clean(for_)
			l.took = v.now.Sub(i.began)
		}
		return l
	}
	l.rank, l.mark, l.code = rankWorking, spinner[int(v.now.UnixMilli()/spin.Milliseconds())%len(spinner)], "34"
	if len(e.Waiters) > 0 {
		l.text += " " + waiting(e)
	} else if e.Text == "Recreate" && e.Reason != "" {
		l.text += " " + clean(e.Reason)
	}
	if current, total, done := i.bytes(); total > 0 {
		i.tellStall(&l, v.now)
		l.text = pad(l.text, len(downloading))
		l.bar = float64(current) / float64(total)
		l.tail = fmt.Sprintf(" %s/%s", size(current), size(total))
		if len(i.parts) > 1 {
			l.tail += fmt.Sprintf(", %d of %d", done, len(i.parts))
		}
	}
	return l
}

// tellStall says in place of the verb that nothing comes, as wide as that.
func (i *item) tellStall(l *line, now time.Time) {
	if still := i.stalled(now); still > 0 {
		l.mark, l.code, l.text = "!", "33", "no data "+duration(still)
	}
}

// waiting says what is waited for and who cannot begin before.
func waiting(e event.Event) string {
	condition := strings.TrimPrefix(e.Reason, "a dependant asks for ")
	condition = strings.TrimPrefix(condition, "service_")
	text := "for " + strings.Join(e.Waiters, ", ")
	if condition != "" {
		text = "until " + strings.ReplaceAll(condition, "_", " ") + ", " + text
	}
	return clean(text)
}

func (i *item) partLine(v view) line {
	e := i.event
	l := line{rank: rankPart, mark: " ", indent: 2, id: shortLayer(clean(i.id)), bar: -1, took: max(0, v.now.Sub(i.began))}
	switch {
	case i.output != "":
		l.text = clean(i.output)
	case e.Text != i.id:
		l.text = clean(e.Text)
	}
	if e.Total > 0 {
		i.tellStall(&l, v.now)
		l.text = pad(l.text, len(downloading))
		l.bar = float64(min(e.Current, e.Total)) / float64(e.Total)
		l.tail = fmt.Sprintf(" %s/%s", size(e.Current), size(e.Total))
	}
	return l
}

// shortLayer is a layer's digest as people know it: its first 12 digits.
func shortLayer(id string) string {
	name, found := strings.CutPrefix(id, "layer ")
	name = strings.TrimPrefix(name, "sha256:")
	if found && len(name) > 12 {
		name = name[:12]
	}
	return name
}

// choose keeps the lines that there is room for, in their order, and words what
// it left out.
func choose(lines []line, room int) (shown []line, hidden string) {
	if len(lines) <= room {
		return lines, ""
	}
	room = max(0, room-1) // the last one counts the others
	keep := make([]bool, len(lines))
	for rank := rankFailed; rank <= rankDone; rank++ {
		for i := range lines {
			at := i
			if rank == rankDone { // of those the newest
				at = len(lines) - 1 - i
			}
			if room > 0 && lines[at].rank == rank {
				keep[at] = true
				room--
			}
		}
	}
	left := [rankDone + 1]int{}
	for i, l := range lines {
		if keep[i] {
			shown = append(shown, l)
		} else {
			left[l.rank]++
		}
	}
	var words []string
	for rank, word := range [...]string{rankFailed: "failed", rankWorking: "at work", rankBlocked: "waiting", rankPart: "", rankDone: "done"} {
		if left[rank] > 0 && word != "" {
			words = append(words, fmt.Sprintf("%d %s", left[rank], word))
		}
	}
	if len(words) == 0 { // layers: their image tells
		return shown, ""
	}
	return shown, "… and " + strings.Join(words, ", ")
}

// idWidth is the column of ids: as wide as the widest, at most half the screen.
func idWidth(lines []line, columns int) int {
	width := 0
	for _, l := range lines {
		width = max(width, l.indent+cells(l.id))
	}
	return min(width, max(8, columns/2))
}

// The widths below which a frame leaves parts out, in columns.
const (
	roomForTimer = 40
	roomForBar   = 72
)

// draw lays a line out.
func (l line) draw(v view, width int) string {
	timer, bar := "", ""
	if v.columns >= roomForTimer {
		timer = duration(l.took)
	}
	if l.bar >= 0 && v.columns >= roomForBar {
		bar = " " + barOf(l.bar, 12)
	}
	head := " " + l.mark + " "
	room := v.columns - 1 - cells(head)
	left := strings.Repeat(" ", l.indent) + l.id
	body := pad(cut(left, width), width) + " " + l.text + bar + l.tail
	if timer != "" {
		room -= cells(timer) + 1
		body = pad(cut(body, room), room) + " "
	} else {
		body = cut(body, room)
	}
	if !v.colour {
		return strings.TrimRight(head+body+timer, " ")
	}
	head = " \x1b[" + l.code + "m" + l.mark + "\x1b[0m "
	if l.rank == rankFailed {
		body = "\x1b[31m" + body + "\x1b[0m"
	}
	if timer != "" {
		timer = "\x1b[2m" + timer + "\x1b[0m"
	}
	return head + body + timer
}

// barOf draws a share of n columns with eighths of a block.
func barOf(share float64, n int) string {
	eighths := int(min(1, max(0, share)) * float64(8*n))
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return pad(bar, n)
}

// duration is short, and calm: tenths below ten seconds, then whole seconds.
func duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
