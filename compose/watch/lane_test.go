package watch

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// at is a moment of a test's clock, in milliseconds.
func at(ms int) time.Time { return time.UnixMilli(int64(ms)) }

// play asks a lane at each millisecond and notes what it does.
func play(l *Lane, until int, happens map[int]func(now time.Time)) string {
	var out []string
	for ms := range until {
		if f := happens[ms]; f != nil {
			f(at(ms))
		}
		begin, cancel, _ := l.Next(at(ms))
		if begin != "" {
			out = append(out, fmt.Sprintf("%d %s", ms, begin))
		}
		if cancel {
			out = append(out, fmt.Sprintf("%d cancel", ms))
		}
	}
	return strings.Join(out, ", ")
}

func TestActionsBeginWhenItIsQuiet(t *testing.T) {
	want := func(l *Lane, action string) func(time.Time) {
		return func(now time.Time) { l.Want(action, now) }
	}
	done := func(l *Lane) func(time.Time) { return func(time.Time) { l.Done(time.Time{}) } }
	cases := []struct {
		name, want string
		happens    func(l *Lane) map[int]func(time.Time)
	}{
		{"one save", "140 restart", func(l *Lane) map[int]func(time.Time) {
			return map[int]func(time.Time){100: want(l, Restart)}
		}},
		{"saves within the quiet time are one", "175 restart", func(l *Lane) map[int]func(time.Time) {
			return map[int]func(time.Time){100: want(l, Restart), 120: want(l, Restart), 135: want(l, Restart)}
		}},
		{"saves without end are acted on after a second", "1000 restart", func(l *Lane) map[int]func(time.Time) {
			m := map[int]func(time.Time){}
			for ms := 0; ms < 1200; ms += 10 {
				m[ms] = want(l, Restart)
			}
			return m
		}},
		{"a rebuild goes before a restart and an exec", "40 rebuild, 60 restart, 70 exec", func(l *Lane) map[int]func(time.Time) {
			return map[int]func(time.Time){0: func(now time.Time) {
				l.Want(Exec, now)
				l.Want(Restart, now)
				l.Want(Rebuild, now)
			}, 60: done(l), 70: done(l)}
		}},
		{"a newer save cancels a rebuild", "40 rebuild, 100 cancel, 140 rebuild", func(l *Lane) map[int]func(time.Time) {
			return map[int]func(time.Time){0: want(l, Rebuild), 100: want(l, Rebuild), 130: done(l)}
		}},
		{"a newer save waits for a restart", "40 restart, 130 restart", func(l *Lane) map[int]func(time.Time) {
			return map[int]func(time.Time){0: want(l, Restart), 60: want(l, Restart), 130: done(l)}
		}},
		{"a rebuild takes earlier restarts with it", "40 rebuild", func(l *Lane) map[int]func(time.Time) {
			return map[int]func(time.Time){0: want(l, Rebuild), 50: want(l, Restart), 100: func(time.Time) { l.Done(at(60)) }}
		}},
		{"but no later ones", "40 rebuild, 110 restart", func(l *Lane) map[int]func(time.Time) {
			return map[int]func(time.Time){0: want(l, Rebuild), 70: want(l, Restart), 100: func(time.Time) { l.Done(at(60)) }}
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := &Lane{}
			if got := play(l, 1200, c.happens(l)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestALaneThatFlapsRestsUntilItIsResumed(t *testing.T) {
	l := &Lane{}
	restarts := 0
	save := func(ms int) {
		l.Want(Restart, at(ms))
		if begin, _, _ := l.Next(at(ms + 40)); begin == Restart {
			restarts++
			l.Done(time.Time{})
		}
	}
	for i := range 15 {
		save(i * 1000)
	}
	if restarts != flapping || !l.Flapping {
		t.Fatalf("%d restarts, flapping %v", restarts, l.Flapping)
	}
	l.Want(Rebuild, at(20000))
	if begin, _, _ := l.Next(at(21000)); begin != Rebuild {
		t.Errorf("a rebuild rests too: %q", begin)
	}
	l.Done(time.Time{})
	l.Resume()
	if save(22000); restarts != flapping+1 || l.Flapping {
		t.Errorf("after resume: %d restarts, flapping %v", restarts, l.Flapping)
	}
	slow := &Lane{}
	l, restarts = slow, 0
	for i := range 40 {
		save(i * 6001)
	}
	if restarts != 40 || l.Flapping {
		t.Errorf("ten a minute are too many: %d, %v", restarts, l.Flapping)
	}
}

// Whatever happens: nothing wanted is lost, no two actions run at a time, and
// whoever waits is told when to ask again.
func TestALaneLosesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		l := &Lane{}
		now, running := 0, ""
		last := map[string]int{}  // when an action was wanted
		begun := map[string]int{} // and when it last began
		for range 200 {
			switch random.IntN(4) {
			case 0:
				action := order[random.IntN(len(order))]
				l.Want(action, at(now))
				last[action] = now
			case 1:
				if running != "" {
					l.Done(time.Time{})
					running = ""
				}
			}
			now += 1 + random.IntN(50)
			begin, cancel, again := l.Next(at(now))
			switch {
			case begin != "" && running != "":
				t.Fatalf("%s begins while %s runs", begin, running)
			case cancel && running != Rebuild:
				t.Fatalf("%q is canceled", running)
			case begin != "":
				running = begin
				begun[begin] = now
			case running == "" && again.IsZero() && !l.Flapping:
				for action := range last {
					if begun[action] < last[action] {
						t.Fatalf("%s was wanted at %d and is forgotten", action, last[action])
					}
				}
			}
		}
	}
}
