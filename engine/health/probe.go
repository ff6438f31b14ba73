package health

import (
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// Defaults of the Compose specification for what a check leaves out.
const (
	DefaultInterval      = 30 * time.Second
	DefaultTimeout       = 30 * time.Second
	DefaultStartInterval = 5 * time.Second
	DefaultRetries       = 3
)

const (
	firstWait = 20 * time.Millisecond  // after the first failed probe, then doubling
	quickWait = 250 * time.Millisecond // the longest of the quick waits
	restRatio = 10                     // wait at least so many times what a probe took
)

// Check is a health check without open questions.
type Check struct {
	Test          []string // ["CMD", …] or ["CMD-SHELL", s]
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int // at least 1
}

// Resolve joins what the blueprint says with the image's HEALTHCHECK, field by
// field. ok is false where there is no check or it is disabled.
func Resolve(blueprint, image *spec.Health) (c Check, ok bool) {
	var h spec.Health
	if image != nil {
		h = *image
	}
	if blueprint != nil {
		h = merge(*blueprint, h)
	}
	if h.Disable || len(h.Test) == 0 || h.Test[0] == "NONE" {
		return Check{}, false
	}
	return Check{
		Test:          h.Test,
		Interval:      orDefault(h.Interval, DefaultInterval),
		Timeout:       orDefault(h.Timeout, DefaultTimeout),
		StartPeriod:   h.StartPeriod,
		StartInterval: orDefault(h.StartInterval, DefaultStartInterval),
		Retries:       orDefault(h.Retries, DefaultRetries),
	}, true
}

func merge(own, image spec.Health) spec.Health {
	if own.Test == nil {
		own.Test = image.Test
	}
	own.Interval = orDefault(own.Interval, image.Interval)
	own.Timeout = orDefault(own.Timeout, image.Timeout)
	own.StartPeriod = orDefault(own.StartPeriod, image.StartPeriod)
	own.StartInterval = orDefault(own.StartInterval, image.StartInterval)
	own.Retries = orDefault(own.Retries, image.Retries)
	return own
}

func orDefault[T int | time.Duration](value, fallback T) T {
	if value > 0 {
		return value
	}
	return fallback
}

// Health is what the probes of one run of a container have shown.
//
//	starting ──success──▶ healthy ──Retries failures──▶ unhealthy
//	   │                     ▲                              │
//	   └─Retries counted     └──────────success─────────────┘
//	     failures──▶ unhealthy
type Health struct {
	Status spec.HealthState
	// Failures in a row that count.
	Failures int
	// Probes made without any success yet.
	Probes int
	// Succeeded once in this run.
	Succeeded bool
	// LastCounted is the end of the last failure that counted, since the
	// container's start; negative while there is none.
	LastCounted time.Duration
	// Longest probe so far.
	Longest time.Duration
}

// Probe is the outcome of one probe. Start is its begin, measured since the
// container's start.
type Probe struct {
	Start, Took time.Duration
	OK          bool
}

// Begin is the state at the container's start; the first probe is due at once.
func Begin() Health { return Health{Status: spec.HealthStarting, LastCounted: -1} }

// Next takes in a probe and returns the wait between its end and the next one.
//
// Until the first success probes follow quickly, but a failure counts only
// where dockerd could have made a probe too. dockerd waits one interval (from
// end to start) between probes and counts none that starts within StartPeriod;
// its first counted one starts at Interval without a start period, and else
// before StartPeriod + max(StartInterval, Interval + one probe).
func (c Check) Next(h Health, p Probe) (Health, time.Duration) {
	h.Longest = max(h.Longest, p.Took)
	if p.OK {
		return Health{Status: spec.HealthHealthy, Succeeded: true, LastCounted: p.Start + p.Took, Longest: h.Longest}, c.Interval
	}
	h.Probes++
	if h.Succeeded || p.Start >= c.countsFrom(h) {
		h.Failures++
		h.LastCounted = p.Start + p.Took
	}
	if h.Failures >= c.Retries {
		h.Status = spec.HealthUnhealthy
	}
	if h.Succeeded {
		return h, c.Interval
	}
	return h, c.quick(h.Probes, p)
}

// countsFrom is the earliest start of a probe whose failure counts.
func (c Check) countsFrom(h Health) time.Duration {
	switch {
	case h.LastCounted >= 0:
		return h.LastCounted + c.Interval
	case c.StartPeriod > 0:
		return c.StartPeriod + max(c.StartInterval, c.Interval+h.Longest)
	default:
		return c.Interval
	}
}

// quick is the wait after the n-th failed probe (from 1) before any success.
func (c Check) quick(n int, p Probe) time.Duration {
	wait := quickWait
	if n <= 4 {
		wait = firstWait << (n - 1)
	}
	wait = max(wait, restRatio*p.Took)
	if p.Start+p.Took < c.StartPeriod {
		wait = min(wait, c.StartInterval)
	}
	return min(wait, c.Interval)
}
