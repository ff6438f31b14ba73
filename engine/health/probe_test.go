package health

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

const ms = time.Millisecond

func TestWaitsUntilTheFirstSuccess(t *testing.T) {
	for _, c := range []struct {
		name  string
		check Check
		took  time.Duration
		want  []time.Duration
	}{
		{"grow to a quarter of a second", Check{Interval: time.Minute, Retries: 3}, 0,
			[]time.Duration{20 * ms, 40 * ms, 80 * ms, 160 * ms, 250 * ms, 250 * ms}},
		{"are ten times the probe's duration", Check{Interval: time.Minute, Retries: 3}, 10 * ms,
			[]time.Duration{100 * ms, 100 * ms, 100 * ms, 160 * ms, 250 * ms}},
		{"are never longer than the interval", Check{Interval: 100 * ms, Retries: 3}, 30 * ms,
			[]time.Duration{100 * ms, 100 * ms, 100 * ms}},
		{"are never longer than the start interval within the start period",
			Check{Interval: time.Minute, Retries: 3, StartPeriod: time.Second, StartInterval: 50 * ms}, 0,
			[]time.Duration{20 * ms, 40 * ms, 50 * ms, 50 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []time.Duration
			h, now := Begin(), time.Duration(0)
			for range c.want {
				var wait time.Duration
				h, wait = c.check.Next(h, Probe{Start: now, Took: c.took})
				got = append(got, wait)
				now += c.took + wait
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestStatusOverProbes(t *testing.T) {
	check := Check{Interval: time.Second, Retries: 2}
	healthy := Health{Status: spec.HealthHealthy, Succeeded: true}
	unhealthy := Health{Status: spec.HealthUnhealthy, Succeeded: true, Failures: 2}
	for _, c := range []struct {
		name  string
		from  Health
		probe Probe
		want  spec.HealthState
	}{
		{"starting and a success is healthy", Begin(), Probe{OK: true}, spec.HealthHealthy},
		{"starting and an early failure is starting", Begin(), Probe{}, spec.HealthStarting},
		{"starting and its last failure is unhealthy", Health{Status: spec.HealthStarting, Failures: 1, LastCounted: time.Second},
			Probe{Start: 2 * time.Second}, spec.HealthUnhealthy},
		{"healthy and a success is healthy", healthy, Probe{OK: true}, spec.HealthHealthy},
		{"healthy and one failure is healthy", healthy, Probe{}, spec.HealthHealthy},
		{"healthy and its last failure is unhealthy", Health{Status: spec.HealthHealthy, Succeeded: true, Failures: 1}, Probe{}, spec.HealthUnhealthy},
		{"unhealthy and a success is healthy", unhealthy, Probe{OK: true}, spec.HealthHealthy},
		{"unhealthy and a failure is unhealthy", unhealthy, Probe{}, spec.HealthUnhealthy},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := check.Next(c.from, c.probe); got.Status != c.want {
				t.Errorf("got %s, want %s", got.Status, c.want)
			}
		})
	}
}

func TestAfterASuccessProbesFollowAtTheInterval(t *testing.T) {
	check := Check{Interval: 7 * time.Second, Retries: 1}
	h, wait := check.Next(Begin(), Probe{OK: true})
	if wait != check.Interval {
		t.Fatalf("wait after success is %v", wait)
	}
	if _, wait = check.Next(h, Probe{}); wait != check.Interval {
		t.Fatalf("wait after a later failure is %v", wait)
	}
}

// dockerd returns when dockerd would call a container unhealthy whose probes
// all fail: one interval (start interval within the start period) from the end
// of a probe to the next, failures that start within the start period free.
func dockerd(c Check, took func(time.Duration) time.Duration) time.Duration {
	now, failures := time.Duration(0), 0
	for {
		if now >= c.StartPeriod {
			now += c.Interval
		} else {
			now += c.StartInterval
		}
		start := now
		now += took(start)
		if start >= c.StartPeriod {
			failures++
		}
		if failures >= c.Retries {
			return now
		}
	}
}

func ours(c Check, took func(time.Duration) time.Duration) time.Duration {
	h, now := Begin(), time.Duration(0)
	for {
		p := Probe{Start: now, Took: took(now)}
		var wait time.Duration
		h, wait = c.Next(h, p)
		now += p.Took
		if h.Status == spec.HealthUnhealthy {
			return now
		}
		now += wait
	}
}

func TestUnhealthyNeverComesEarlierThanInDockerd(t *testing.T) {
	durations := []time.Duration{0, 7 * ms, 300 * ms, 2 * time.Second}
	for _, interval := range []time.Duration{10 * ms, time.Second, 5 * time.Second, 30 * time.Second} {
		for _, period := range []time.Duration{0, 1, 990 * ms, 12 * time.Second, time.Minute} {
			for _, startInterval := range []time.Duration{100 * ms, 5 * time.Second, 40 * time.Second} {
				for _, retries := range []int{1, 2, 5} {
					for _, d := range durations {
						c := Check{Interval: interval, StartPeriod: period, StartInterval: startInterval, Retries: retries}
						took := func(time.Duration) time.Duration { return d }
						if o, theirs := ours(c, took), dockerd(c, took); o < theirs {
							t.Errorf("%+v, probes of %v: ours %v, dockerd's %v", c, d, o, theirs)
						}
					}
				}
			}
		}
	}
}

func TestUnhealthyComesNotMuchLaterThanInDockerd(t *testing.T) {
	for _, c := range []Check{
		{Interval: time.Second, Retries: 3, StartInterval: DefaultStartInterval},
		{Interval: 30 * time.Second, Retries: 3, StartInterval: DefaultStartInterval, StartPeriod: 10 * time.Second},
	} {
		took := func(time.Duration) time.Duration { return 5 * ms }
		bound := dockerd(c, took) + c.Interval + time.Duration(c.Retries)*time.Second
		if o := ours(c, took); o > bound {
			t.Errorf("%+v: ours %v, bound %v", c, o, bound)
		}
	}
}

func TestResolve(t *testing.T) {
	image := &spec.Health{Test: []string{"CMD", "true"}, Interval: time.Second, Retries: 7}
	for _, c := range []struct {
		name      string
		own, base *spec.Health
		want      string
		ok        bool
	}{
		{"no check at all", nil, nil, "", false},
		{"the image's", nil, image, "[CMD true] 1s 7", true},
		{"disabled", &spec.Health{Disable: true}, image, "", false},
		{"NONE clears it", &spec.Health{Test: []string{"NONE"}}, image, "", false},
		{"own test with the image's times", &spec.Health{Test: []string{"CMD", "x"}}, image, "[CMD x] 1s 7", true},
		{"own times with the image's test", &spec.Health{Interval: time.Minute, Retries: 1}, image, "[CMD true] 1m0s 1", true},
		{"defaults", &spec.Health{Test: []string{"CMD-SHELL", "x"}}, nil, "[CMD-SHELL x] 30s 3", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			check, ok := Resolve(c.own, c.base)
			got := ""
			if ok {
				got = fmt.Sprintf("%v %v %d", check.Test, check.Interval, check.Retries)
			}
			if got != c.want || ok != c.ok {
				t.Errorf("got %q %v, want %q %v", got, ok, c.want, c.ok)
			}
		})
	}
}
