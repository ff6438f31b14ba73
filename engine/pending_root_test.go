package engine

import (
	"io"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

// A reader that has not found the next engine yet when its container ends gets
// the rest all the same.
func TestAReaderThatComesLateToTheNextEngineMissesNothing(t *testing.T) {
	r := newRig(t)
	id := r.create(shell("late", "trap 'echo two; exit 7' TERM; echo one; while :; do sleep 0.02; done"))
	if err := r.engine.Ready(id); err != nil {
		t.Fatal(err)
	}
	first := int64(0)
	reader, err := r.engine.Attach(t.Context(), id, "", false, &first)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	const frame = 8 // the header before each piece
	shown := make([]byte, frame+len("one\n"))
	if _, err := io.ReadFull(reader, shown); err != nil || string(shown[frame:]) != "one\n" {
		t.Fatalf("%q, %v", shown, err)
	}
	reader.Close()
	r.reopen()
	if err := r.engine.KillContainer(t.Context(), id, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	r.until(id, "ended", func(s spec.Status) bool { return s.State == spec.StateExited && s.ExitCode == 7 })
	from := int64(len(shown))
	again, err := r.engine.Attach(t.Context(), id, "", false, &from)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	rest, err := io.ReadAll(again)
	if err != nil || len(rest) < frame || string(rest[frame:]) != "two\n" {
		t.Errorf("%q, %v", rest, err)
	}
}
