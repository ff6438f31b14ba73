package read

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/logs"
)

func writer(t testing.TB, o logs.Options) *logs.Writer {
	t.Helper()
	w, err := logs.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func write(t testing.TB, w *logs.Writer, stream logs.Stream, at int64, text string) {
	t.Helper()
	if err := w.Write(stream, time.Unix(0, at), []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// all reads to the end; each line is "stream time text", "~" for a partial one.
func all(t testing.TB, dir string, o Options) []string {
	t.Helper()
	r, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var lines []string
	for {
		line, err := r.Next(context.Background())
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, show(line))
	}
}

func show(line Line) string {
	end := ""
	if line.Partial {
		end = "~"
	}
	return fmt.Sprintf("%d %d %s%s", line.Stream, line.Time.UnixNano(), line.Data, end)
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestPartsAreJoinedPerStreamWithTheTimeOfTheFirst(t *testing.T) {
	dir := t.TempDir()
	w := writer(t, logs.Options{Dir: dir})
	write(t, w, logs.Stdout, 1, "a\nb")
	write(t, w, logs.Stderr, 2, "x")
	write(t, w, logs.Stdout, 3, "b")
	write(t, w, logs.Stdout, 4, "b\n\nc\n")
	write(t, w, logs.Stderr, 5, "\n")
	write(t, w, logs.Stdout, 6, "unfinished")
	equal(t, all(t, dir, Options{}), "1 1 a", "1 1 bbb", "1 4 ", "1 4 c", "2 2 x", "1 6 unfinished~")
}

func TestALineOfAnEndedRunIsNotJoinedWithTheNext(t *testing.T) {
	dir := t.TempDir()
	w := writer(t, logs.Options{Dir: dir})
	write(t, w, logs.Stdout, 1, "killed he")
	w.NewRun()
	write(t, w, logs.Stdout, 2, "fresh\n")
	equal(t, all(t, dir, Options{}), "1 1 killed he~", "1 2 fresh")
}

func TestSinceAndUntilBoundTheLines(t *testing.T) {
	dir := t.TempDir()
	w := writer(t, logs.Options{Dir: dir, MaxSize: 100, MaxFiles: 50})
	for i := int64(1); i <= 20; i++ {
		write(t, w, logs.Stdout, i, fmt.Sprintf("line %d\n", i))
	}
	equal(t, all(t, dir, Options{Since: time.Unix(0, 18)}), "1 18 line 18", "1 19 line 19", "1 20 line 20")
	equal(t, all(t, dir, Options{Until: time.Unix(0, 2)}), "1 1 line 1", "1 2 line 2")
	equal(t, all(t, dir, Options{Since: time.Unix(0, 7), Until: time.Unix(0, 8)}), "1 7 line 7", "1 8 line 8")
	equal(t, all(t, dir, Options{Since: time.Unix(0, 21)}))
}

func TestTailIsExact(t *testing.T) {
	// Random records, several files: the tail must be the end of all.
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		w := writer(t, logs.Options{Dir: dir, MaxSize: 600, MaxFiles: 6})
		for i := range 150 {
			stream := logs.Stdout + logs.Stream(random.IntN(2))
			text := strings.Repeat("x", random.IntN(5)) + fmt.Sprint(i)
			switch random.IntN(3) {
			case 0:
				text += "\n"
			case 1:
				text += "\nrest"
			}
			write(t, w, stream, int64(i+1), text)
			if random.IntN(20) == 0 {
				w.NewRun()
			}
		}
		// An unfinished line at the very end counts only if it is near.
		write(t, w, logs.Stdout, 200, "end\n")
		write(t, w, logs.Stderr, 201, "end\nunfinished")
		whole := all(t, dir, Options{})
		for _, n := range []int{1, 2, 3, 7, 20, len(whole) - 3} {
			got := all(t, dir, Options{Tail: n})
			equal(t, got, whole[len(whole)-n:]...)
			if t.Failed() {
				t.Fatalf("seed %d, tail %d", seed, n)
			}
		}
		if got := all(t, dir, Options{Tail: len(whole) + 10}); len(got) < len(whole) {
			t.Fatalf("seed %d: a long tail has %d of %d lines", seed, len(got), len(whole))
		}
		equal(t, all(t, dir, Options{Tail: None}))
	}
}

func TestAMissingLogIsToldAndAnEmptyOneIsEmpty(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing one: %v", err)
	}
	equal(t, all(t, dir, Options{}))
	equal(t, all(t, dir, Options{Tail: 5}))
}

func TestALongLineComesInPieces(t *testing.T) {
	dir := t.TempDir()
	w := writer(t, logs.Options{Dir: dir})
	part := strings.Repeat("y", 700<<10)
	for range 4 {
		write(t, w, logs.Stdout, 1, part)
	}
	write(t, w, logs.Stdout, 2, "\nshort\n")
	r, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var sizes []int
	for {
		line, err := r.Next(context.Background())
		if err != nil {
			break
		}
		sizes = append(sizes, len(line.Data))
		if len(line.Data) == MaxLine && !line.Partial {
			t.Error("a piece is not marked")
		}
	}
	if want := []int{MaxLine, MaxLine, 4*len(part) - 2*MaxLine, 5}; fmt.Sprint(sizes) != fmt.Sprint(want) {
		t.Errorf("sizes %v, want %v", sizes, want)
	}
}

func BenchmarkRead200000Lines(b *testing.B) {
	dir := b.TempDir()
	w := writer(b, logs.Options{Dir: dir})
	block := strings.Repeat("a line of a usual length, as a server writes them: GET / 200\n", 64)
	for i := range 200_000 / 64 {
		write(b, w, logs.Stdout, int64(i+1), block)
	}
	for b.Loop() {
		r, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Next(context.Background())
		}
		r.Close()
	}
}

func BenchmarkTail10Of30MB(b *testing.B) {
	dir := b.TempDir()
	w := writer(b, logs.Options{Dir: dir})
	for i := range 400_000 {
		write(b, w, logs.Stdout, int64(i+1), "one line a record, as an unbuffered program writes\n")
	}
	for b.Loop() {
		r, err := Open(dir, Options{Tail: 10})
		if err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

func TestBlocksHoldTheLinesOfOneMoment(t *testing.T) {
	dir := t.TempDir()
	w := writer(t, logs.Options{Dir: dir})
	write(t, w, logs.Stdout, 1, "a\nb\n\nc")
	write(t, w, logs.Stderr, 2, "x\n")
	write(t, w, logs.Stdout, 3, "c\nd\n\ne\n")
	equal(t, all(t, dir, Options{Blocks: true}), "1 1 a\nb\n", "2 2 x", "1 1 cc", "1 3 d\n\ne")
	// A tail begins within a block.
	equal(t, all(t, dir, Options{Blocks: true, Tail: 2}), "1 3 \ne")
}

func TestPiecesOfALongLineSayThatTheyGoOn(t *testing.T) {
	dir := t.TempDir()
	w := writer(t, logs.Options{Dir: dir})
	want := strings.Repeat("0123456789abcdef", (2*MaxLine+100)/16)
	for _, ending := range []string{"\n", ""} { // with its newline, and at the log's end without
		for rest := want; rest != ""; {
			n := min(64<<10, len(rest))
			write(t, w, logs.Stdout, 1, rest[:n])
			rest = rest[n:]
		}
		write(t, w, logs.Stdout, 2, "."+ending)
	}
	r, err := Open(dir, Options{Blocks: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		got, cut := "", true
		for cut {
			line, err := r.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			got, cut = got+string(line.Data), line.Cut
		}
		if got != want+"." {
			t.Errorf("%d bytes, want %d", len(got), len(want)+1)
		}
	}
	if _, err := r.Next(context.Background()); err != io.EOF {
		t.Errorf("more than the lines: %v", err)
	}
}

func TestALineThatEndsWhereItIsCutIsEnded(t *testing.T) {
	dir := t.TempDir()
	w := writer(t, logs.Options{Dir: dir})
	write(t, w, logs.Stdout, 1, strings.Repeat("x", MaxLine))
	r, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first, err := r.Next(context.Background())
	if err != nil || !first.Cut || len(first.Data) != MaxLine {
		t.Errorf("%d bytes, cut %v, %v", len(first.Data), first.Cut, err)
	}
	last, err := r.Next(context.Background())
	if err != nil || last.Cut || len(last.Data) != 0 {
		t.Errorf("%d bytes, cut %v, %v", len(last.Data), last.Cut, err)
	}
}

// A clock that is set back hides nothing of what is written after it.
func TestLinesAreSinceATimeInTheOrderInWhichTheyWereWritten(t *testing.T) {
	dir := t.TempDir()
	w := writer(t, logs.Options{Dir: dir, MaxSize: 60, MaxFiles: 50})
	for _, at := range []int64{1, 50, 51, 10, 11, 52, 12} {
		write(t, w, logs.Stdout, at, fmt.Sprintf("line %d\n", at))
	}
	equal(t, all(t, dir, Options{Since: time.Unix(0, 51)}), "1 51 line 51", "1 10 line 10", "1 11 line 11", "1 52 line 52", "1 12 line 12")
	equal(t, all(t, dir, Options{Since: time.Unix(0, 53)}))
}
