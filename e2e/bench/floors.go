package main

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// floorOf asks the C program for what the bare kernel needs, some times, and
// notes it.
func (b *bench) floorOf(r *row, probe string, times int) error {
	if r == nil {
		return nil
	}
	all, err := b.probe(probe, b.rounds(times))
	for _, ms := range all {
		r.floor.add(ms)
	}
	return err
}

// probe returns the milliseconds that a probe of the C program took each time.
func (b *bench) probe(name string, times int) ([]float64, error) {
	t := tool{name: "floor", program: b.floorProgram}
	out, err := t.output(b.work, name, strconv.Itoa(times), b.bundle+"/rootfs", b.work)
	if err != nil {
		return nil, err
	}
	var all []float64
	for word := range strings.FieldsSeq(out) {
		us, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, fmt.Errorf("floor %s answers %q", name, out)
		}
		all = append(all, us/1000)
	}
	return all, nil
}

// floorOfMany notes what the bare kernel needs to start so many containers when every
// processor starts its share: the longest sum of one processor's starts.
func (b *bench) floorOfMany(r *row, containers int) error {
	if r == nil {
		return nil
	}
	processors := min(runtime.NumCPU(), containers)
	sums, errs := make([]float64, processors), make([]error, processors)
	var starting sync.WaitGroup
	for i := range processors {
		starting.Go(func() {
			var all []float64
			all, errs[i] = b.probe("start", (containers+processors-1)/processors)
			for _, ms := range all {
				sums[i] += ms
			}
		})
	}
	starting.Wait()
	longest := 0.0
	for _, sum := range sums {
		longest = max(longest, sum)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.floor.add(longest)
	return nil
}
