package logs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stored reads all records of a folder in their order, strictly: a bad one
// fails the test.
func stored(t *testing.T, dir string) (text map[Stream]string, sizes []int64) {
	t.Helper()
	text = map[Stream]string{}
	numbers, err := Numbers(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range numbers {
		f, err := os.Open(filepath.Join(dir, FileName(number)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
		for at := int64(len(Magic)); at < info.Size(); {
			record, err := RecordAt(f, at, info.Size())
			if err != nil {
				t.Fatalf("file %d at %d of %d: %v", number, at, info.Size(), err)
			}
			h, err := ParseHeader(record)
			if err != nil {
				t.Fatal(err)
			}
			text[h.Stream] += string(record[HeaderSize : HeaderSize+h.Size])
			at += int64(len(record))
		}
	}
	return text, sizes
}

func mustOpen(t *testing.T, o Options) *Writer {
	t.Helper()
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustClose(t *testing.T, w *Writer) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRotationKeepsTheNewestAndLosesNothingBetween(t *testing.T) {
	dir := t.TempDir()
	w := mustOpen(t, Options{Dir: dir, MaxSize: 4096, MaxFiles: 3})
	const lines = 1000
	for i := range lines {
		if err := w.Write(Stdout, time.Now(), fmt.Appendf(nil, "line %d\n", i)); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, w)
	text, sizes := stored(t, dir)
	if len(sizes) != 3 {
		t.Fatalf("%d files", len(sizes))
	}
	for _, size := range sizes {
		if size > 4096 {
			t.Errorf("a file of %d bytes", size)
		}
	}
	got := strings.Split(strings.TrimSuffix(text[Stdout], "\n"), "\n")
	first := lines - len(got)
	for i, line := range got {
		if want := fmt.Sprintf("line %d", first+i); line != want {
			t.Fatalf("line %q, want %q", line, want)
		}
	}
	if len(got) < 100 {
		t.Errorf("only %d lines kept", len(got))
	}
}

func TestALogGoesOnWhereItsLastWriterEnded(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		w := mustOpen(t, Options{Dir: dir})
		if err := w.Write(Stdout, time.Now(), fmt.Appendf(nil, "run %d\n", i)); err != nil {
			t.Fatal(err)
		}
		mustClose(t, w)
	}
	if text, _ := stored(t, dir); text[Stdout] != "run 0\nrun 1\nrun 2\n" {
		t.Errorf("got %q", text[Stdout])
	}
}

func TestAKilledWriterLeavesAPrefixThatTheNextOneMends(t *testing.T) {
	whole := t.TempDir()
	w := mustOpen(t, Options{Dir: whole})
	for i := range 3 {
		if err := w.Write(Stdout, time.Now(), fmt.Appendf(nil, "line %d\n", i)); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, w)
	raw, err := os.ReadFile(filepath.Join(whole, FileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	record := HeaderSize + len("line 0\n") + TrailerSize
	for cut := range len(raw) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName(1)), raw[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		w := mustOpen(t, Options{Dir: dir})
		if err := w.Write(Stdout, time.Now(), []byte("after\n")); err != nil {
			t.Fatal(err)
		}
		mustClose(t, w)
		want := ""
		for i := range max(cut-len(Magic), 0) / record {
			want += fmt.Sprintf("line %d\n", i)
		}
		if text, _ := stored(t, dir); text[Stdout] != want+"after\n" {
			t.Fatalf("cut at %d of %d: got %q, want %q", cut, len(raw), text[Stdout], want+"after\n")
		}
	}
}

func TestOnlyOneWriterHasALog(t *testing.T) {
	dir := t.TempDir()
	first := mustOpen(t, Options{Dir: dir})
	second, err := Open(Options{Dir: dir})
	if err == nil || second == nil {
		t.Fatalf("a second writer: %v, %v", second, err)
	}
	now := time.Now()
	if err := second.Write(Stdout, now, []byte("a\nb\n")); err == nil {
		t.Error("the second writer wrote")
	}
	mustClose(t, first)
	// It tries again and notes what it could not write.
	if err := second.Write(Stdout, now.Add(time.Second), []byte("c\n")); err != nil {
		t.Fatal(err)
	}
	mustClose(t, second)
	text, _ := stored(t, dir)
	if text[Stdout] != "c\n" || !strings.HasPrefix(text[Note], "2 lines lost: ") {
		t.Errorf("got %q", text)
	}
}

// failing is a disk that is full for a while.
type failing struct {
	osDisk
	full  *bool
	short bool // a part of it fits
}

type failingFile struct {
	file
	disk failing
}

func (d failing) open(path string) (file, error) {
	f, err := d.osDisk.open(path)
	if err != nil {
		return nil, err
	}
	return failingFile{f, d}, nil
}

func (f failingFile) writev(parts [][]byte) (int, error) {
	if !*f.disk.full {
		return f.file.writev(parts)
	}
	if !f.disk.short {
		return 0, unix.ENOSPC
	}
	return f.file.writev([][]byte{parts[0], parts[1][:1]}) // short, no error
}

func TestWhatCannotBeWrittenIsCountedAndNotedLater(t *testing.T) {
	for _, short := range []bool{false, true} {
		t.Run(fmt.Sprintf("a part fits: %v", short), func(t *testing.T) {
			dir := t.TempDir()
			full := false
			w, err := open(Options{Dir: dir}, failing{full: &full, short: short})
			if err != nil {
				t.Fatal(err)
			}
			write := func(text string) error { return w.Write(Stdout, time.Now(), []byte(text)) }
			if err := write("one\n"); err != nil {
				t.Fatal(err)
			}
			full = true
			for range 3 {
				if err := write("lost\nlost\n"); !errors.Is(err, unix.ENOSPC) {
					t.Fatalf("a full disk: %v", err)
				}
			}
			if w.Lost() != 6 {
				t.Errorf("%d lines counted", w.Lost())
			}
			full = false
			if err := write("two\n"); err != nil {
				t.Fatal(err)
			}
			if w.Lost() != 0 {
				t.Errorf("%d lines after the note", w.Lost())
			}
			mustClose(t, w)
			text, _ := stored(t, dir)
			if text[Stdout] != "one\ntwo\n" || text[Note] != "6 lines lost: cannot write log: no space left on device\n" {
				t.Errorf("got %q", text)
			}
		})
	}
}

// A line counts once in however many pieces it is lost, and no piece of it is
// stored as if it were a line.
func TestALineLostInPiecesCountsOnceAndItsRestIsNoLine(t *testing.T) {
	dir := t.TempDir()
	full := false
	w, err := open(Options{Dir: dir}, failing{full: &full})
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) { _ = w.Write(Stdout, time.Now(), []byte(text)) }
	write("1\nhalf")
	full = true
	for _, text := range []string{" of 2\n3 is ", "in", " pieces\n4\n5", " is\n6 ends "} {
		write(text)
	}
	if w.Lost() != 5 {
		t.Errorf("%d lines counted, want 2 to 6", w.Lost())
	}
	full = false
	write("later")
	write(" than the loss\n7\n8 ")
	write("is whole\n")
	full = true
	write("9 never ends ")
	full = false
	write(strings.Repeat("x", skipMost))
	write("and is too long to be awaited\n")
	full = true
	write("10 was killed")
	full = false
	w.NewRun()
	write("11\n")
	mustClose(t, w)
	text, _ := stored(t, dir)
	if want := "1\nhalf7\n8 is whole\nand is too long to be awaited\n11\n"; text[Stdout] != want {
		t.Errorf("stored is %q, want %q", text[Stdout], want)
	}
	const cause = "lost: cannot write log: no space left on device\n"
	if want := "5 lines " + cause + "1 line " + cause + "1 line " + cause; text[Note] != want {
		t.Errorf("noted is %q, want %q", text[Note], want)
	}
}

func TestClosingNotesALossAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	full := true
	w, err := open(Options{Dir: dir}, failing{full: &full})
	if w == nil || err != nil {
		t.Fatalf("nothing was to be stored yet: %v, %v", w, err)
	}
	if err := w.Write(Stderr, time.Now(), []byte("lost\n")); err == nil {
		t.Error("no error")
	}
	full = false
	mustClose(t, w)
	if text, _ := stored(t, dir); !strings.HasPrefix(text[Note], "1 line lost: ") {
		t.Errorf("got %q", text)
	}
}

func TestALogThatHoldsNothingHasNoFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	for range 2 {
		w, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Dir: dir}); err == nil {
			t.Error("two write it")
		}
		mustClose(t, w)
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("it holds %v, %v", entries, err)
		}
	}
}

func FuzzHeaderAndCheckNeverPanic(f *testing.F) {
	f.Add([]byte(strings.Repeat("\x01", 64)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) < HeaderSize {
			return
		}
		h, err := ParseHeader(raw)
		if err == nil && (h.Size < 1 || h.Size > MaxData) {
			t.Errorf("size %d", h.Size)
		}
		if err == nil && len(raw) == HeaderSize+h.Size+TrailerSize {
			_ = Check(raw)
		}
	})
}

func BenchmarkWriteTwoMillionLines(b *testing.B) {
	block := []byte(strings.Repeat("1234567\n", 8192)) // what a pump reads at once
	for b.Loop() {
		w, err := Open(Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		for range 2_000_000 / 8192 {
			if err := w.Write(Stdout, time.Now(), block); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestNoFileExceedsItsBound(t *testing.T) {
	for _, size := range []int64{200, 4096, 20_000} {
		dir := t.TempDir()
		w := mustOpen(t, Options{Dir: dir, MaxSize: size, MaxFiles: 100_000})
		var want strings.Builder
		for i := range 3_000 {
			fmt.Fprintf(&want, "line %d\n", i)
		}
		want.WriteString(strings.Repeat("long", 5_000) + "\n")
		if err := w.Write(Stdout, time.Now(), []byte(want.String())); err != nil {
			t.Fatal(err)
		}
		mustClose(t, w)
		text, sizes := stored(t, dir)
		if text[Stdout] != want.String() {
			t.Errorf("bound %d: %d bytes are stored, want %d", size, len(text[Stdout]), want.Len())
		}
		for i, s := range sizes {
			if s > size {
				t.Errorf("bound %d: file %d has %d bytes", size, i+1, s)
			}
		}
	}
}

// A monitor stores what its container writes for months: a block of output
// costs it no garbage.
func TestStoringABlockAllocatesNothing(t *testing.T) {
	w := mustOpen(t, Options{Dir: t.TempDir(), MaxSize: 1 << 30})
	defer mustClose(t, w)
	data, at := []byte(strings.Repeat("a line\n", 1000)), time.Now()
	if n := testing.AllocsPerRun(100, func() {
		if err := w.Write(Stdout, at, data); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("a block allocates %v times", n)
	}
}
