package main

import (
	"fmt"
	"strconv"
	"strings"
)

// floorOf asks the C program for what the bare kernel needs, some times, and
// notes it.
func (b *bench) floorOf(r *row, probe string, times int) error {
	if r == nil {
		return nil
	}
	t := tool{name: "floor", program: b.floorProgram}
	out, err := t.output(b.work, probe, strconv.Itoa(b.rounds(times)), b.bundle+"/rootfs", b.work)
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(out) {
		us, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return fmt.Errorf("floor %s answers %q", probe, out)
		}
		r.floor.add(us / 1000)
	}
	return nil
}
