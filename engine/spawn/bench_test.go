package spawn_test

import (
	"testing"
	"time"
)

// BenchmarkStart is one start with everything but a network: overlay, cgroup,
// recipe, stage, until the program has been executed. The rest of a
// container's life is not counted.
func BenchmarkStart(b *testing.B) {
	box := newBox(b)
	var spawned time.Duration
	for b.Loop() {
		c := box.prepare("true")
		begin := time.Now()
		if err := c.start(); err != nil {
			b.Fatal(err)
		}
		spawned += time.Since(begin)
		b.StopTimer()
		c.remove()
		b.StartTimer()
	}
	b.ReportMetric(float64(spawned.Microseconds())/1000/float64(b.N), "spawn-ms/op")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/op")
}
