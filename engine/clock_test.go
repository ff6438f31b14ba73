package engine

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

// The wall clock may be set while containers run.

func TestABackOffIsNeverLongerThanItWasWhateverTheClockSays(t *testing.T) {
	began := time.Unix(100000, 0)
	for name, c := range map[string]struct{ later, want time.Duration }{
		"half of it has passed":       {5 * time.Second, 5 * time.Second},
		"it is over":                  {time.Minute, 0},
		"the clock was set forward":   {10 * time.Hour, 0},
		"the clock was set backward":  {-10 * time.Hour, 10 * time.Second},
		"it was set back by a little": {-time.Second, 10 * time.Second},
	} {
		if got := backoffLeft(10*time.Second, began, began.Add(c.later)); got != c.want {
			t.Errorf("%s: %v are left, want %v", name, got, c.want)
		}
	}
}

func TestHowLongARunLastedIsMeasuredByItsMonitor(t *testing.T) {
	hour := int64(time.Hour)
	for name, c := range map[string]struct {
		exit wire.MonitorExit
		want time.Duration
	}{
		"set forward meanwhile":  {wire.MonitorExit{StartedAt: 5 * hour, ExitedAt: 9 * hour, Ran: int64(time.Second)}, time.Second},
		"set backward meanwhile": {wire.MonitorExit{StartedAt: 5 * hour, ExitedAt: 2 * hour, Ran: int64(time.Second)}, time.Second},
		"an older monitor":       {wire.MonitorExit{StartedAt: 5 * hour, ExitedAt: 6 * hour}, time.Hour},
		"an older one, set back": {wire.MonitorExit{StartedAt: 5 * hour, ExitedAt: 2 * hour}, 0},
	} {
		if got := ranFor(c.exit); got != c.want {
			t.Errorf("%s: it ran for %v, want %v", name, got, c.want)
		}
	}
}

// Its start time names a run; it orders none.
func TestARunThatWasNotNotedIsKnownAlsoIfItSeemsToBeTheOlder(t *testing.T) {
	noted := condition{Run: 500, Status: spec.Status{StartedAt: time.Unix(0, 500)}}
	starting := condition{Status: spec.Status{StartedAt: time.Unix(0, 500)}}
	for name, c := range map[string]struct {
		condition condition
		run       int64
		want      bool
	}{
		"the noted one":                        {noted, 500, false},
		"none yet":                             {noted, 0, false},
		"a later one":                          {noted, 700, true},
		"one after the clock was set back":     {noted, 300, true},
		"the last before the start under way":  {starting, 500, false},
		"the start under way, clock set back":  {starting, 300, true},
		"the first of all":                     {condition{}, 300, true},
		"no run before the first that is made": {condition{}, 0, false},
	} {
		if got := c.condition.unknownRun(c.run); got != c.want {
			t.Errorf("%s: it is unknown: %v, want %v", name, got, c.want)
		}
	}
}

// The start of a process is read from the kernel: probes of a container count
// from there, in a start period too.
func TestTheAgeOfAProcessAsksNoWallClock(t *testing.T) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	const age = time.Second // it began so long ago, or when the machine did
	begin := max((time.Duration(now.Nano())-age)/ticks, 0)
	proc := t.TempDir()
	if err := os.Mkdir(filepath.Join(proc, "42"), 0o755); err != nil {
		t.Fatal(err)
	}
	stat := "42 (x) S 7 42 42 0 42 4194304 1 0 0 0 250 50 0 0 20 0 1 0 " + strconv.FormatInt(int64(begin), 10) + " 1 1"
	if err := os.WriteFile(filepath.Join(proc, "42", "stat"), []byte(stat), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := processAge(proc, 42)
	if err != nil || got < min(age, time.Duration(now.Nano())) || got > age+time.Hour {
		t.Errorf("it is %v old, %v; want about %v", got, err, age)
	}
	if _, err := processAge(proc, 43); err == nil {
		t.Error("a process that is not there has an age")
	}
	if got := ageOf(-1, time.Now().Add(time.Hour)); got != 0 {
		t.Errorf("one that has gone, and began in the future, is %v old", got)
	}
}
