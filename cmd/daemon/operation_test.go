package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
)

func TestAnOperationBeganWithItsFirstOwnEvent(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 21, 8, minute, 0, 0, time.UTC) }
	events := []event.Event{
		{Sequence: 1, Time: at(1), Kind: event.KindResource, ID: waitingID + "shop", Text: "Waiting", Details: "for up of shop"},
		{Sequence: 2, Time: at(2), Kind: event.KindResource, ID: "Container shop-web-1", Text: "Creating"},
		{Sequence: 3, Time: at(3), Kind: event.KindResource, ID: "Container shop-web-1", Text: "Created"},
	}
	begun := func(resumed bool, events []event.Event) time.Time {
		op := newOperation(client.Operation{Kind: client.Up, Project: "shop", CreatedAt: at(0)}, nil, events, slog.New(slog.DiscardHandler))
		op.resumed = resumed
		return op.startedAt()
	}
	if got := begun(true, events); !got.Equal(at(2)) {
		t.Errorf("interrupted at work: %v", got)
	}
	before := time.Now()
	for name, got := range map[string]time.Time{
		"interrupted while it waited": begun(true, events[:1]),
		"interrupted before it told":  begun(true, nil),
		"begun now":                   begun(false, events[:1]),
	} {
		if got.Before(before) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// An event that cannot be written comes before the next: a later daemon would
// take a gap for the end, and do the operation again.
func TestEventsThatCouldNotBeWrittenAreWrittenLater(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "events")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	op := newOperation(client.Operation{}, full, nil, slog.New(slog.DiscardHandler))
	op.emit(event.Event{ID: "one"})
	op.file = file
	full.Close()
	op.emit(event.Event{ID: "two"})
	op.finish(event.Result{})
	op.close(t.Context())
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"one"`) || !strings.Contains(lines[1], `"two"`) {
		t.Errorf("kept %q", lines)
	}
}
