package ui

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/mycompose/mycompose/compose/event"
)

// board is what an operation has told so far: one item per resource, with its
// layers or build steps below. It is plain data; frame draws it.
type board struct {
	title string
	begun time.Time
	items []*item
	index map[string]*item
}

// item is a resource, a layer of an image, or a step of a build.
type item struct {
	id      string
	event   event.Event // the newest
	began   time.Time
	ended   time.Time // zero while it works
	moved   time.Time // when its bytes became more
	output  string    // the last line of a build step
	parts   []*item
	partsBy map[string]*item
}

func newBoard(title string, now time.Time) *board {
	return &board{title: title, begun: now, index: map[string]*item{}}
}

// take takes an event in.
func (b *board) take(e event.Event, now time.Time) {
	if e.ParentID == "" {
		b.item(e.ID, now).take(e, now)
		return
	}
	b.item(e.ParentID, now).part(e.ID, now).take(e, now)
}

// takeOutput takes in what a build told: name is that of the step.
func (b *board) takeOutput(e event.Event, name string, now time.Time) {
	step := b.item(e.ParentID, now).part(name, now)
	if e.ID != name && e.Status == event.Working && e.Text != name {
		step.output = e.Text
	}
	if e.ID == name { // an action inside the step: bytes
		e.Status = event.Working
		if !step.ended.IsZero() {
			return
		}
	}
	step.take(e, now)
}

func (b *board) item(id string, now time.Time) *item {
	i, ok := b.index[id]
	if !ok {
		i = &item{id: id, began: now, event: event.Event{ID: id, Status: event.Working}}
		b.index[id] = i
		at, _ := slices.BinarySearchFunc(b.items, id, func(i *item, id string) int { return byKind(i.id, id) })
		b.items = slices.Insert(b.items, at, i)
	}
	return i
}

// byKind orders resources by kind, then by name with numbers as such (web-2 is
// before web-10), so that a screen looks the same each time.
func byKind(a, b string) int {
	rank := func(id string) int {
		kind, _, _ := strings.Cut(id, " ")
		return slices.Index([]string{"Image", "Network", "Volume"}, kind) & 7 // others last
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), natural(a, b))
}

func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x > 0 && y > 0 {
			if c := cmp.Or(cmp.Compare(x, y), cmp.Compare(a[:x], b[:y])); c != 0 {
				return c
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(a, b)
}

// digits is how many a text begins with.
func digits(text string) int {
	return len(text) - len(strings.TrimLeft(text, "0123456789"))
}

func (i *item) part(id string, now time.Time) *item {
	p, ok := i.partsBy[id]
	if !ok {
		p = &item{id: id, began: now, event: event.Event{ID: id, Status: event.Working}}
		if i.partsBy == nil {
			i.partsBy = map[string]*item{}
		}
		i.partsBy[id] = p
		i.parts = append(i.parts, p)
	}
	return p
}

func (i *item) take(e event.Event, now time.Time) {
	if e.Total == 0 && (e.Status != event.Working || e.Text == i.event.Text) {
		e.Current, e.Total = i.event.Current, i.event.Total
	}
	if !i.working() && e.Status == event.Working { // it works again: stopped, then started
		i.began = now
	}
	if i.moved.IsZero() || e.Current != i.event.Current || e.Text != i.event.Text {
		i.moved = now
	}
	i.event = e
	i.ended = time.Time{}
	if e.Status != event.Working {
		i.ended = now
	}
}

func (i *item) working() bool { return i.event.Status == event.Working }

// stallTime is how long no byte may come before it is said.
const stallTime = 5 * time.Second

// stalled is how long a download has got no byte, zero if it is none or less than
// stallTime. An image is as its layers are: one that gets bytes is enough.
func (i *item) stalled(now time.Time) time.Duration {
	if len(i.parts) == 0 {
		if still := now.Sub(i.moved); i.working() && i.event.Text == downloading && still >= stallTime {
			return still
		}
		return 0
	}
	least := time.Duration(0)
	for _, p := range i.parts {
		if !p.working() {
			continue
		}
		still := p.stalled(now)
		switch {
		case still == 0 && p.event.Text != queued:
			return 0
		case still > 0 && (least == 0 || still < least):
			least = still
		}
	}
	return least
}

// The words of a layer that gets bytes, and of one that waits for its turn.
const (
	downloading = "Downloading"
	queued      = "Pulling fs layer"
)

// bytes adds up the parts: how much is here, of how much, and of how many parts
// how many are done.
func (i *item) bytes() (current, total int64, done int) {
	for _, p := range i.parts {
		if !p.working() {
			done++
			current += p.event.Total
		} else {
			current += min(p.event.Current, p.event.Total)
		}
		total += p.event.Total
	}
	return current, total, done
}

// blocked maps the services that cannot begin yet to what they wait for.
func (b *board) blocked() map[string]string {
	out := map[string]string{}
	for _, i := range b.items {
		if !i.working() {
			continue
		}
		for _, service := range i.event.Waiters {
			if out[service] == "" {
				out[service] = i.event.Service
			} else if !slices.Contains(strings.Split(out[service], ", "), i.event.Service) {
				out[service] += ", " + i.event.Service
			}
		}
	}
	return out
}

// counts are the resources that have ended, and all.
func (b *board) counts() (ended, all int) {
	for _, i := range b.items {
		if !i.working() {
			ended++
		}
	}
	return ended, len(b.items)
}
