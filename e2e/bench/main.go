// Command bench measures the whole tool on this machine beside its peers, each
// run in turn with the others in the same run (A B A B), so that the ratios
// mean something on a noisy machine. It prints medians, and asserts nothing.
// `make peers` installs the peers; what is missing is left out. Run it by
// `make bench`, as root.
//
// Each tool has a network and mount namespace, folders and a cgroup of its
// own; nothing of any stays.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == loadWord {
		if err := loadAlone(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var o options
	pattern := flag.String("rows", "", "measure only the rows whose key or text this regular expression finds")
	flag.BoolVar(&o.quick, "quick", false, "fewer rounds, and no row that takes long")
	flag.BoolVar(&o.write, "write", false, "write the table into README.md and the ratios into "+ratiosFile)
	flag.BoolVar(&o.check, "check", false, "compare the ratios with those in "+ratiosFile)
	flag.BoolVar(&o.list, "list", false, "list the rows and their keys, measure nothing")
	flag.Parse()
	var err error
	if o.rows, err = regexp.Compile(*pattern); err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	quick, write, check, list bool
	rows                      *regexp.Regexp
}

const ratiosFile = "e2e/bench/ratios.json"

// group is rows that are measured together, having the same things standing.
type group struct {
	rows    []*row
	measure func(b *bench, rows map[string]*row) error
	// long groups are left out of a quick run.
	long bool
}

func run(o options) error {
	groups := chosen(allGroups(), o)
	if o.list {
		for _, g := range groups {
			for _, r := range g.rows {
				fmt.Printf("%-18s %s\n", r.key, r.what)
			}
		}
		return nil
	}
	if len(groups) == 0 {
		return errors.New("no row fits: -list shows them")
	}
	began := time.Now()
	b, err := newBench(o.quick)
	if err != nil {
		return err
	}
	rows, err := b.measure(groups)
	err = errors.Join(err, b.end())
	if len(rows) > 0 {
		head := b.head(began)
		fmt.Printf("\n%s\n\n%s", head, markdown(rows))
		err = errors.Join(err, report(o, head, rows))
	}
	return err
}

// chosen are the groups with a row that is wanted, and only such rows.
func chosen(groups []group, o options) []group {
	var out []group
	for _, g := range groups {
		var rows []*row
		for _, r := range g.rows {
			if o.rows.MatchString(r.key) || o.rows.MatchString(r.what) {
				rows = append(rows, r)
			}
		}
		if g.rows = rows; len(rows) > 0 && !(g.long && o.quick) {
			out = append(out, g)
		}
	}
	return out
}

// measure goes on after a group that fails, and says so at the end.
func (b *bench) measure(groups []group) ([]*row, error) {
	var rows []*row
	var failed error
	for _, g := range groups {
		byKey := map[string]*row{}
		for _, r := range g.rows {
			byKey[r.key] = r
			r.ours.name = "mycompose"
		}
		if err := g.measure(b, byKey); err != nil {
			failed = errors.Join(failed, fmt.Errorf("cannot measure %s: %w", g.rows[0].key, err))
		}
		for _, r := range g.rows {
			if len(r.ours.values) > 0 {
				fmt.Println(r.text())
				rows = append(rows, r)
			}
		}
	}
	return rows, failed
}

// head says when, where and against what.
func (b *bench) head(began time.Time) string {
	kernel := firstLine("uname", "-r")
	versions := []string{b.ours.version}
	for _, t := range []*tool{b.compose, b.docker, b.podman, b.runc, b.crun} {
		if t != nil && t.version != "" {
			versions = append(versions, t.version)
		}
	}
	return fmt.Sprintf("%s, %s, Linux %s, load %s at the beginning and %s at the end, %s; medians. %s.",
		began.Format(time.DateOnly), machine(), kernel, b.load0, loadAverage(), time.Since(began).Round(time.Second), strings.Join(versions, ", "))
}

// report does what -write and -check ask for.
func report(o options, head string, rows []*row) error {
	if o.check {
		before, err := readRatios(ratiosFile)
		if err != nil {
			return err
		}
		fmt.Println("\n" + compare(before, rows))
	}
	if !o.write {
		return nil
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		return err
	}
	text, err := intoReadme(string(readme), head+"\n\n"+markdown(rows))
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile("README.md", []byte(text), 0o644),
		writeRatios(ratiosFile, time.Now().Format(time.DateOnly), machine(), rows))
}

// machine names the processor and how many there are.
func machine() string {
	model := "a machine"
	raw, _ := os.ReadFile("/proc/cpuinfo")
	count := 0
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "processor":
			count++
		case "model name":
			model = strings.TrimSpace(value)
		}
	}
	if out, err := exec.Command("systemd-detect-virt").Output(); err == nil {
		model += " (" + strings.TrimSpace(string(out)) + ")"
	}
	return fmt.Sprintf("%d × %s", count, model)
}

func loadAverage() string {
	raw, _ := os.ReadFile("/proc/loadavg")
	word, _, _ := strings.Cut(string(raw), " ")
	return word
}
