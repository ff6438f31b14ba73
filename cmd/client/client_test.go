package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFramesComeOutAsTheyWentIn(t *testing.T) {
	at := time.Unix(12, 345)
	b := AppendFrame(nil, Stdout, 0, 0, []byte("hel"), []byte("lo"))
	b = AppendLogLine(b, Stderr, FlagCut, 513, at, []byte("line"))
	b = AppendFrame(b, Noted, 0, 7, []byte(`{"name":"web-1","exited":true,"exitCode":3}`))
	if want := []byte{1, 0, 0, 0, 0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o'}; !bytes.HasPrefix(b, want) {
		t.Errorf("not Docker's frame: % x", b[:len(want)])
	}
	r := NewFrameReader(bytes.NewReader(b))
	f, err := r.Read()
	if err != nil || string(f.Data) != "hello" || f.Stream != Stdout {
		t.Errorf("got %+v, %v", f, err)
	}
	f, err = r.Read()
	when, line, lineErr := f.LogLine()
	if err != nil || lineErr != nil || !when.Equal(at) || string(line) != "line" || f.Source != 513 || f.Flags != FlagCut {
		t.Errorf("got %+v, %v", f, err)
	}
	f, err = r.Read()
	note, noteErr := f.Note()
	if err != nil || noteErr != nil || note != (Note{Name: "web-1", Exited: true, ExitCode: 3}) {
		t.Errorf("got %+v, %v, %v", note, err, noteErr)
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestACutOrHugeFrameIsAnError(t *testing.T) {
	whole := AppendFrame(nil, Stdout, 0, 0, []byte("hello"))
	if _, err := NewFrameReader(bytes.NewReader(whole[:10])).Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if _, err := NewFrameReader(bytes.NewReader([]byte{1, 0, 0, 0, 0xff, 0, 0, 0})).Read(); err == nil || !strings.Contains(err.Error(), "frame of") {
		t.Errorf("got %v", err)
	}
	if _, _, err := (Frame{Data: []byte("short")}).LogLine(); err == nil {
		t.Error("a line without time was taken")
	}
}

func TestLogRequestsSurviveTheQuery(t *testing.T) {
	for _, want := range []LogRequest{
		{Project: "shop", Tail: -1},
		{Project: "a b&c", Services: []string{"web", "db"}, Containers: []string{"ab"}, Index: 2, OneOff: true, Follow: true,
			Stay: true, Tail: 10, Since: time.Unix(1, 2), Until: time.Unix(3, 4)},
	} {
		q, err := url.ParseQuery(want.query().Encode())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseLogRequest(q); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if _, err := ParseLogRequest(url.Values{"tail": {"x"}}); err == nil {
		t.Error("a bad number was taken")
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(AppendFrame(nil, Stdout, 0, 0, []byte("x")))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewFrameReader(bytes.NewReader(data))
		read := 0
		for {
			frame, err := r.Read()
			if err != nil {
				return
			}
			if read += 8 + len(frame.Data); read > len(data) {
				t.Fatal("more came out than went in")
			}
			if frame.Stream == Noted {
				_, _ = frame.Note()
			}
			_, _, _ = frame.LogLine()
		}
	})
}

func TestWithoutADaemonAndWithoutLeaveToStartOneTheErrorSaysSo(t *testing.T) {
	c := New(Config{RunDir: t.TempDir()})
	defer c.Close()
	if _, err := c.Info(context.Background()); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("got %v", err)
	}
}

func TestTheBuildIDIsThatOfTheContent(t *testing.T) {
	first, err := BuildID()
	if err != nil || len(first) != 32 {
		t.Fatalf("got %q, %v", first, err)
	}
	if again, err := BuildID(); err != nil || again != first {
		t.Errorf("got %q, %v", again, err)
	}
	// Two builds of one program differ if a linked-in word does.
	dir := t.TempDir()
	source := "package main\nvar word = \"one\"\nfunc main() { println(word) }\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	var notes [][]byte
	for _, word := range []string{"one", "two"} {
		out := filepath.Join(dir, word)
		build := exec.Command("go", "build", "-ldflags", "-X main.word="+word, "-o", out, filepath.Join(dir, "main.go"))
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		f, err := os.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		notes = append(notes, buildNote(f))
		f.Close()
	}
	if notes[0] == nil || bytes.Equal(notes[0], notes[1]) {
		t.Errorf("notes are % x and % x", notes[0], notes[1])
	}
}

// A keeper that is there and starts nobody, as one that is stopped: what is
// waited for is told once, however often it is tried.
func TestADaemonThatDoesNotComeIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var told []string
	c := New(Config{
		RunDir: t.TempDir(), Build: "b",
		Ensure:  func(context.Context) error { return nil },
		Waiting: func(text string) { told = append(told, text); cancel() },
	})
	c.silence = 0
	for range 2 {
		if conn, err := c.dial(ctx); err == nil {
			conn.Close()
			t.Fatal("somebody answered")
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "keeper") {
		t.Errorf("told %q", told)
	}
}

// Where the keeper can start nobody there is an end to the waiting, and the error
// says what the keeper does; a further try would be in vain.
func TestADaemonThatCannotComeIsGivenUp(t *testing.T) {
	c := New(Config{
		RunDir: t.TempDir(), Build: "b",
		Ensure: func(context.Context) error { return nil },
		Keeper: func() (string, bool) { return "the keeper (pid 7) is stopped", true },
	})
	c.slow = time.Millisecond
	_, err := c.dial(t.Context())
	if err == nil || !strings.Contains(err.Error(), "(pid 7) is stopped") || lost(err) || !StaysDown(err) {
		t.Errorf("the error is %v", err)
	}
}
