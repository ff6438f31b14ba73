package daemon

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestLogsOfSeveralContainersAreMergedByTime(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	at := func(n int64) time.Time { return time.Unix(0, n) }
	m.add("shop-b-1", "b", spec.StateExited, LogLine{Time: at(2), Stream: 1, Data: []byte("two")}, LogLine{Time: at(4), Stream: 2, Data: []byte("four")})
	m.add("shop-a-1", "a", spec.StateExited, LogLine{Time: at(1), Stream: 1, Data: []byte("one")}, LogLine{Time: at(3), Stream: 1, Data: []byte("three")}, LogLine{Time: at(5), Stream: 1, Data: []byte("five")})
	start(t, place, m, "a")
	c := dial(t, place, "a")
	lines, _ := readLogs(t, c, client.LogRequest{Project: "shop", Tail: -1})
	if want := []string{"a-1:one", "b-1:two", "a-1:three", "b-1:four", "a-1:five"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	lines, _ = readLogs(t, c, client.LogRequest{Project: "shop", Services: []string{"b"}, Tail: -1})
	if want := []string{"b-1:two", "b-1:four"}; !slices.Equal(lines, want) {
		t.Errorf("got %q", lines)
	}
}

func readLogs(t *testing.T, c *client.Client, q client.LogRequest) (lines []string, exited []string) {
	t.Helper()
	stream, err := c.Logs(patient(t), q)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	names := map[uint16]string{}
	for frames := client.NewFrameReader(stream); ; {
		f, err := frames.Read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Stream != client.Noted {
			_, line, err := f.LogLine()
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, names[f.Source]+":"+string(line))
			continue
		}
		note, err := f.Note()
		if err != nil {
			t.Fatal(err)
		}
		if note.Over {
			return lines, exited
		}
		if note.Name != "" {
			names[f.Source] = note.Name
		}
		if note.Exited {
			exited = append(exited, names[f.Source])
		}
	}
}

func TestAFollowEndsWithTheLastContainerAndTellsItsEnd(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	a := m.add("shop-a-1", "a", spec.StateRunning, LogLine{Time: time.Unix(1, 0), Stream: 1, Data: []byte("hello")})
	m.add("shop-b-1", "b", spec.StateExited, LogLine{Time: time.Unix(2, 0), Stream: 1, Data: []byte("gone")})
	start(t, place, m, "a")
	c := dial(t, place, "a")
	time.AfterFunc(50*time.Millisecond, func() { close(m.exits[a]) })
	lines, exited := readLogs(t, c, client.LogRequest{Project: "shop", Tail: -1, Follow: true})
	if !slices.Equal(lines, []string{"a-1:hello", "b-1:gone"}) || !slices.Equal(exited, []string{"a-1"}) {
		t.Errorf("got %q, %q", lines, exited)
	}
}

func TestExecBytesPassBothWaysAndStdinsEndArrives(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	start(t, place, m, "a")
	c := dial(t, place, "a")
	id := client.NewID()
	stream, err := c.Exec(patient(t), spec.Exec{ID: id, Container: "x", Args: []string{"cat"}, Stdin: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	frames := client.NewFrameReader(stream)
	f, err := frames.Read()
	if err != nil || string(f.Data) != "hello" || f.Stream != client.Stderr {
		t.Errorf("got %+v, %v", f, err)
	}
	if err := stream.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := frames.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	if r, err := c.WaitExec(patient(t), "x", id); err != nil || r.ExitCode != 7 {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := c.Exec(patient(t), spec.Exec{ID: client.NewID(), Container: "x", Args: []string{"nope"}}); !errors.Is(err, spec.ErrCommand) {
		t.Errorf("got %v", err)
	}
}
