package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// Two minutes of make soak. The limits are loose: the machine may be busy, and
// what fills caches in the first minute has not come to rest.
func TestTwoMinutesOfSoakDoNotGrow(t *testing.T) {
	kerneltest.NeedRoot(t)
	binary, err := filepath.Abs("../../bin/mycompose")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	s, err := newSoak(binary, 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	state, err := filepath.EvalSymlinks(s.state)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(state))
	tag := hex.EncodeToString(sum[:4])
	if err := errors.Join(s.run(t.Context()), s.end()); err != nil {
		t.Fatal(err)
	}
	all := grown(s.samples, s.duration)
	t.Log("\n" + table(all, s.asked, s.counts, s.duration))
	for _, line := range ofATest.exceeded(all, s.asked) {
		t.Error(line)
	}
	if len(all) < 101 {
		t.Errorf("%d processes were there in the second and the last quarter, want the daemon and 100 monitors at least", len(all))
	}
	kerneltest.Eventually(t, time.Minute, func() error {
		for left := range kerneltest.Take(tag) {
			return errors.New("left behind: " + left)
		}
		return nil
	})
}

// leaking is a daemon that gains a descriptor and 100 KiB with each sample.
func leaking(n int) (samples []sample) {
	for i := range n {
		at := time.Duration(i) * time.Second
		samples = append(samples, sample{at, map[int]reading{
			7: {role: "mycompose-daemon", descriptors: 100 + i, goroutines: 50, memory: 10000 + 100*i},
			8: {role: "mycompose-monitor", descriptors: 12, memory: 1000},
		}})
	}
	return samples
}

func TestALeakIsFoundAndNamed(t *testing.T) {
	all := grown(leaking(40), 40*time.Second)
	over := ofAnHour.exceeded(all, []answer{{0, 80 * time.Millisecond}})
	want := []string{
		"mycompose-daemon 7 has 20 descriptors more, had 115",
		"mycompose-daemon 7 has 2000 KiB (17.4 %) more, had 11500",
		"ps took 80ms at its 99th percentile, wanted 50ms",
	}
	if strings.Join(over, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(over, "\n"), strings.Join(want, "\n"))
	}
	if over := ofATest.exceeded(all, []answer{{0, time.Second}}); len(over) > 0 {
		t.Errorf("the loose limits are exceeded: %v", over)
	}
}

func TestThePictureIsWellFormed(t *testing.T) {
	s := &soak{duration: 40 * time.Second, samples: leaking(40), asked: []answer{{time.Second, 9 * time.Millisecond}}}
	picture := draw(s)
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		_, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"private memory, MB", "daemon goroutines", "0:40", "p99 9ms"} {
		if !strings.Contains(picture, text) {
			t.Errorf("the picture lacks %q", text)
		}
	}
}
