// Command bench measures the whole tool on this machine and prints its numbers
// beside runc's, run in turn in the same run, so that the ratios mean something
// on a noisy machine. It asserts nothing. Run it by `make bench`, as root.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is one line of the table.
type row struct {
	what  string
	goal  string // from the design
	times []time.Duration
}

func (r row) median() time.Duration {
	if len(r.times) == 0 {
		return 0
	}
	sorted := slices.Clone(r.times)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

func run() error {
	b, err := newBench()
	if err != nil {
		return err
	}
	defer b.end()
	runc := row{what: "runc run true (peer)"}
	one := row{what: "start of one container (start, less ps)", goal: "6 ms in the daemon"}
	rows := []*row{}
	for _, n := range []int{1, 10, 50} {
		up := &row{what: fmt.Sprintf("up -d, %d services", n), goal: map[int]string{1: "35 ms", 10: "80 ms", 50: "300 ms"}[n]}
		down := &row{what: fmt.Sprintf("down, %d services", n), goal: map[int]string{1: "35 ms", 10: "70 ms", 50: "250 ms"}[n]}
		rows = append(rows, up, down)
		if err := b.upAndDown(n, up, down, &runc); err != nil {
			return err
		}
	}
	noop := &row{what: "up -d again, 50 services", goal: "25 ms"}
	ps := &row{what: "ps, 50 services", goal: "15 ms"}
	exe := &row{what: "exec -T true", goal: "15 ms"}
	version := &row{what: "version", goal: "8 ms"}
	config := &row{what: "config, 50 services", goal: "35 ms"}
	restart := &row{what: "restart, 50 services", goal: "350 ms"}
	rows = append(rows, noop, ps, exe, version, config, restart)
	memory, err := b.steady(noop, ps, exe, version, config, restart, &one, &runc)
	if err != nil {
		return err
	}
	b.print(append([]*row{&runc, &one}, rows...), memory)
	return nil
}

// print writes the table as Markdown, which is readable as text too.
func (b *bench) print(rows []*row, memory string) {
	load, _ := os.ReadFile("/proc/loadavg")
	kernel, _ := exec.Command("uname", "-r").Output()
	peer, _ := exec.Command("runc", "--version").Output()
	base := rows[0].median()
	fmt.Printf("%s, kernel %s, load %s, %s\n\n", time.Now().Format(time.DateOnly),
		strings.TrimSpace(string(kernel)), strings.Join(strings.Fields(string(load))[:3], " "),
		strings.SplitN(string(peer), "\n", 2)[0])
	fmt.Println("| what | median | min | × runc run | goal |")
	fmt.Println("|---|---|---|---|---|")
	for _, r := range rows {
		if len(r.times) == 0 {
			continue
		}
		fmt.Printf("| %s | %.1f ms | %.1f ms | %.2f | %s |\n", r.what, ms(r.median()), ms(slices.Min(r.times)),
			float64(r.median())/float64(base), r.goal)
	}
	fmt.Println(memory)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
