package spawn_test

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkStart is one start: spawn-ms is Spawner.Start alone, until the
// program has been executed; prepare-ms is overlay, cgroup, network namespace
// and recipe before it. Medians and the least. What a container's end costs is
// not counted.
func BenchmarkStart(b *testing.B) {
	box := newBox(b)
	var prepared, spawned []time.Duration
	for b.Loop() {
		begin := time.Now()
		c := box.prepare("true")
		middle := time.Now()
		if err := c.start(); err != nil {
			b.Fatal(err)
		}
		spawned = append(spawned, time.Since(middle))
		prepared = append(prepared, middle.Sub(begin))
		b.StopTimer()
		c.remove()
		b.StartTimer()
	}
	report(b, "spawn", spawned)
	report(b, "prepare", prepared)
}

// BenchmarkExec is one further process in a running container.
func BenchmarkExec(b *testing.B) {
	box := newBox(b)
	c := box.running()
	var took []time.Duration
	for b.Loop() {
		r, files := c.exec("true")
		begin := time.Now()
		if _, _, err := c.runExec(r, files); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	report(b, "exec", took)
}

func report(b *testing.B, name string, took []time.Duration) {
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), name+"-ms")
	b.ReportMetric(ms(took[0]), name+"-min-ms")
}
