package ui

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycompose/mycompose/compose/event"
)

// drawn is a screen on a fake terminal, for a synctest bubble.
func drawn(t *testing.T, columns, rows int, change func(*Options)) (*Screen, *terminal) {
	v := newTerminal(t, columns, rows)
	o := Options{Out: v, Err: v, OutTerminal: true, ErrTerminal: true, NoColor: true, Size: v.size}
	if change != nil {
		change(&o)
	}
	return New(o), v
}

func resource(id string, status event.Status, text string) event.Event {
	return event.Event{Kind: event.KindResource, ID: id, Status: status, Text: text}
}

func TestAFloodOfEventsIsDrawnAtMostTenTimesASecondAndNeverHigherThanTheTerminal(t *testing.T) {
	for _, rows := range []int{1, 2, 5, 24} {
		for _, columns := range []int{12, 80} {
			synctest.Test(t, func(t *testing.T) {
				s, v := drawn(t, columns, rows, nil)
				p := s.Progress(ProgressOptions{Title: "up"})
				for tick := range 1200 {
					id := fmt.Sprintf("Container shop-service-with-a-long-name-%d", tick%60)
					status := event.Working
					if tick%7 == 0 {
						status = event.Done
					}
					p.Show(resource(id, status, "Starting 日本語"))
					p.Show(event.Event{Kind: event.KindResource, ID: fmt.Sprintf("layer sha256:%d", tick%9), ParentID: "Image redis",
						Status: event.Working, Text: "Downloading", Current: int64(tick), Total: 1200})
					time.Sleep(time.Millisecond)
				}
				p.Close()
				if n := v.perSecond(); n > 10 {
					t.Errorf("%d x %d: %d frames in a second", columns, rows, n)
				}
				if v.tallest >= max(2, rows) {
					t.Errorf("%d x %d: a frame of %d rows", columns, rows, v.tallest)
				}
			})
		}
	}
}

func TestNothingIsDrawnWhereNothingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := drawn(t, 80, 24, nil)
		p := s.Progress(ProgressOptions{Title: "up"})
		p.Show(resource("Container a", event.Done, "Running"))
		time.Sleep(10 * time.Second)
		p.Close()
		if len(v.frames) != 1 {
			t.Errorf("%d frames", len(v.frames))
		}
	})
}

func TestWhatIsShorterThanAFrameIsDrawnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := drawn(t, 80, 24, nil)
		p := s.Progress(ProgressOptions{Title: "down"})
		p.Show(resource("Container a", event.Working, "Stopping"))
		time.Sleep(frameTime / 2)
		p.Show(resource("Container a", event.Done, "Stopped"))
		p.Close()
		p.Close()
		if len(v.frames) != 1 || !strings.Contains(v.screen(), "✔ Container a Stopped") {
			t.Errorf("%d frames:\n%s", len(v.frames), v.screen())
		}
	})
}

// scene is one moment of a large up.
func scene(p *Progress) {
	with := func(e event.Event, service, reason string, waiters ...string) event.Event {
		e.Service, e.Reason, e.Waiters = service, reason, waiters
		return e
	}
	layer := func(id string, status event.Status, text string, current, total int64) event.Event {
		return event.Event{Kind: event.KindResource, ID: "layer sha256:" + id, ParentID: "Image redis:alpine", Status: status, Text: text, Current: current, Total: total}
	}
	p.Show(resource("Network shop_default", event.Done, "Created"))
	p.Show(with(resource("Container shop-web-1", event.Done, "Created"), "web", "is new"))
	p.Show(with(resource("Container shop-db-1", event.Working, "Waiting"), "db", "a dependant asks for service_healthy", "web", "worker"))
	p.Show(resource("Image redis:alpine", event.Working, "Pulling"))
	p.Show(layer("aaaaaaaaaaaaaaaa", event.Done, "Downloading", 2000, 2000))
	p.Show(layer("bbbbbbbbbbbbbbbb", event.Working, "Downloading", 3_000_000, 4_000_000))
	p.Show(layer("cccccccccccccccc", event.Working, "Extracting", 1_000_000, 8_000_000))
	p.Show(resource("Container shop-job-1", event.Error, "Error"))
	p.Show(with(resource("Container shop-api-1", event.Working, "Recreate"), "api", `environment.DEBUG "0" → "1"`))
	for n := range 6 {
		p.Show(resource(fmt.Sprintf("Container shop-worker-%d", n), event.Done, "Started"))
	}
}

func TestAFrameShowsBarsReasonsAndFailuresFirst(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {200, 50}, {50, 9}, {30, 5}} {
		synctest.Test(t, func(t *testing.T) {
			s, v := drawn(t, size[0], size[1], func(o *Options) { o.Now = func() time.Time { return now } })
			p := s.Progress(ProgressOptions{Title: "up"})
			scene(p)
			time.Sleep(frameTime)
			synctest.Wait()
			text := v.screen()
			p.Close()
			golden(t, fmt.Sprintf("frame-%dx%d", size[0], size[1]), []byte(text))
		})
	}
}

func TestAResizeIsFollowedAndWhatStoodAboveStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := drawn(t, 80, 24, nil)
		s.Notice("$ before")
		p := s.Progress(ProgressOptions{Title: "up"})
		scene(p)
		time.Sleep(2*frameTime + frameTime/2)
		v.resize(120, 20)
		time.Sleep(2 * frameTime)
		p.Show(event.Event{Kind: event.KindWarning, Text: "look"})
		p.Close()
		if text := strings.Join(v.lines, "\n"); !strings.HasPrefix(text, "$ before\nwarning: look\n[+] up") || strings.Count(text, "[+] up") != 1 {
			t.Errorf("got:\n%s", text)
		}
	})
}

func TestFramesFitEveryTerminal(t *testing.T) {
	b := newBoard("up", now)
	for _, e := range []event.Event{
		resource("Container 日本語日本語日本語-1", event.Working, "Starting"), resource("Image x", event.Working, "Pulling"),
		{Kind: event.KindResource, ID: "layer sha256:0123456789abcdef", ParentID: "Image x", Status: event.Working, Text: "Downloading", Current: 1, Total: 2},
		{Kind: event.KindResource, ID: "Network n", Status: event.Error, Text: "Error", Details: strings.Repeat("long ", 99)},
		resource("Volume v", event.Done, "Created"),
	} {
		b.take(e, now)
	}
	for columns := 1; columns < 130; columns++ {
		for rows := range 9 {
			lines := b.frame(view{now: now, columns: columns, rows: rows, colour: true})
			if len(lines) > max(0, rows-1) {
				t.Errorf("%d x %d: %d lines", columns, rows, len(lines))
			}
			for _, l := range lines {
				if n := cells(withoutEscapes(l)); n >= max(4, columns) {
					t.Errorf("%d x %d: %d cells: %q", columns, rows, n, l)
				}
			}
		}
	}
}

func TestATerminalThatBecomesSmallerThanTheFrameIsNotDrawnAbove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := drawn(t, 80, 24, nil) // the terminal complains
		p := s.Progress(ProgressOptions{Title: "up"})
		scene(p)
		time.Sleep(2*frameTime + frameTime/2)
		v.resize(40, 6)
		time.Sleep(2 * frameTime)
		v.resize(80, 24)
		p.Close()
	})
}

func TestOutputOfOthersScrollsByAboveWithoutAFrameOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := drawn(t, 80, 24, nil)
		p := s.Progress(ProgressOptions{Title: "up"})
		p.Show(resource("Container a", event.Working, "Starting"))
		for n := range 1000 {
			s.Println(fmt.Sprintf("line %d", n))
			time.Sleep(time.Millisecond)
		}
		fmt.Fprint(s, "half ")
		time.Sleep(frameTime)
		fmt.Fprintln(s, "and whole")
		p.Close()
		if v.perSecond() > 10 {
			t.Errorf("%d frames in a second", v.perSecond())
		}
		want := "line 0\n"
		for n := 1; n < 1000; n++ {
			want += fmt.Sprintf("line %d\n", n)
		}
		if text := strings.Join(v.lines, "\n"); !strings.HasPrefix(text, want+"half and whole\n[+] up 0/1\n") {
			t.Errorf("got:\n%.2000s", text)
		}
	})
}

func TestAProgramThatGoesOnAfterAStopDrawsBelowWhatOthersWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		continued := make(chan os.Signal)
		s, v := drawn(t, 80, 24, func(o *Options) { o.Continued = continued })
		p := s.Progress(ProgressOptions{Title: "up"})
		p.Show(resource("Container a", event.Working, "Starting"))
		time.Sleep(2*frameTime + frameTime/2)
		fmt.Fprint(v, "$ fg\nmycompose up\n")
		continued <- syscall.SIGCONT
		synctest.Wait()
		p.Show(resource("Container a", event.Done, "Started"))
		p.Close()
		if text := v.screen(); !strings.Contains(text, "$ fg\nmycompose up\n[+] up 1/1\n") {
			t.Errorf("got:\n%s", text)
		}
	})
}

func TestTextOfImagesAndContainersCannotMoveTheCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := drawn(t, 80, 24, nil) // the terminal complains
		p := s.Progress(ProgressOptions{Title: "up"})
		p.Show(event.Event{Kind: event.KindResource, ID: "Image evil\x1b[2J", Status: event.Error, Text: "Error", Details: "a\x07\x1b[H\tb\nc"})
		p.Close()
		if !strings.Contains(v.screen(), "Image evil[2J Error a[H b") {
			t.Errorf("got:\n%s", v.screen())
		}
	})
}

func TestABuildOnATerminalShowsItsStepsAndTheEndOfOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := drawn(t, 80, 24, nil)
		p := s.Progress(ProgressOptions{Title: "build"})
		step := func(id string, status event.Status, text, details string) event.Event {
			return event.Event{Kind: event.KindOutput, ID: id, ParentID: "Image shop-web", Status: status, Text: text, Details: details, Time: time.Now()}
		}
		p.Show(resource("Image shop-web", event.Working, "Building"))
		p.Show(step("sha256:a", event.Working, "[1/2] FROM busybox", ""))
		p.Show(step("sha256:a", event.Done, "[1/2] FROM busybox", "CACHED"))
		p.Show(step("sha256:b", event.Working, "[2/2] RUN make", ""))
		p.Show(step("sha256:b", event.Working, "cc -c a.c", ""))
		time.Sleep(2 * frameTime)
		synctest.Wait()
		if text := v.screen(); !strings.Contains(text, "  [2/2] RUN make cc -c a.c") || strings.Contains(text, "FROM") {
			t.Errorf("at work:\n%s", text)
		}
		p.Show(step("sha256:b", event.Error, "exit code: 2", "ERROR"))
		p.Show(resource("Image shop-web", event.Error, "Error"))
		p.Close()
		if text := v.screen(); !strings.Contains(text, "#2 ERROR: exit code: 2\n------\n > [2/2] RUN make:\ncc -c a.c\n------\n[+] build 1/1\n") {
			t.Errorf("failed:\n%s", text)
		}
	})
}

func TestWidthsAreCells(t *testing.T) {
	for text, want := range map[string]int{"abc": 3, "日本": 4, "é": 1, "⠋ ✔": 3, "🚀": 2} {
		if got := cells(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := cut("日本語です", 6); got != "日本…" || cells(got) > 6 {
		t.Errorf("cut: %q", got)
	}
	for _, share := range []float64{-1, 0, 0.3, 0.999, 1, 7} {
		if cells(barOf(share, 12)) != 12 {
			t.Errorf("bar of %v is %q", share, barOf(share, 12))
		}
	}
}

func TestResultsGoStraightToAFileWhileProgressIsDrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s, _ := drawn(t, 80, 24, func(o *Options) { o.Out, o.OutTerminal = &out, false })
		p := s.Progress(ProgressOptions{Title: "build"})
		p.Show(event.Event{Kind: event.KindOutput, ID: "sha256:a", ParentID: "Image a", Status: event.Working, Text: "[1/1] FROM busybox"})
		if out.String() != "#1 [1/1] FROM busybox\n" {
			t.Errorf("got %q", out.String())
		}
		p.Close()
	})
}

func TestResourcesStandInTheSameOrderEachTime(t *testing.T) {
	want := []string{"Image a", "Network n", "Volume v", "Container a-2", "Container a-10", "Container b-1"}
	b := newBoard("up", now)
	for _, i := range []int{4, 1, 5, 3, 0, 2} {
		b.take(resource(want[i], event.Done, "Created"), now)
	}
	for i, item := range b.items {
		if item.id != want[i] {
			t.Errorf("%d is %s, want %s", i, item.id, want[i])
		}
	}
}

// A download that gets nothing says so and for how long, instead of standing still;
// an image does if none of its layers gets anything.
func TestADownloadThatStallsSaysSo(t *testing.T) {
	b := newBoard("pull", now)
	layer := func(id, text string, current int64, at time.Time) {
		b.take(event.Event{Kind: event.KindResource, ID: "layer sha256:" + id, ParentID: "Image redis", Status: event.Working, Text: text, Current: current, Total: 4_000_000}, at)
	}
	frame := func(after time.Duration) string {
		return strings.Join(b.frame(view{now: now.Add(after), columns: 80, rows: 9}), "\n")
	}
	b.take(resource("Image redis", event.Working, "Pulling"), now)
	layer("aaaaaaaaaaaaaaaa", "Downloading", 1_000_000, now)
	layer("bbbbbbbbbbbbbbbb", "Downloading", 1_000_000, now)
	layer("cccccccccccccccc", "Pulling fs layer", 0, now)
	if got := frame(stallTime - time.Second); strings.Contains(got, "no data") {
		t.Errorf("too early:\n%s", got)
	}
	layer("bbbbbbbbbbbbbbbb", "Downloading", 2_000_000, now.Add(10*time.Second))
	if got := frame(12 * time.Second); strings.Count(got, "no data 12s") != 1 || !strings.Contains(got, "aaaaaaaaaaaa no data 12s") {
		t.Errorf("one of two layers:\n%s", got)
	}
	golden(t, "stalled", []byte(frame(20*time.Second)+"\n"))
	layer("aaaaaaaaaaaaaaaa", "Downloading", 1_000_001, now.Add(21*time.Second))
	if got := frame(22 * time.Second); strings.Contains(got, "aaaaaaaaaaaa no data") || strings.Contains(got, "redis  no data") {
		t.Errorf("it goes on:\n%s", got)
	}
	layer("aaaaaaaaaaaaaaaa", "Extracting", 0, now.Add(23*time.Second))
	if got := frame(60 * time.Second); strings.Count(got, "no data") != 1 {
		t.Errorf("what is unpacked needs no bytes:\n%s", got)
	}
}
