package main

import (
	"strings"
	"testing"
)

func sample() *row {
	r := &row{key: "up-1", what: "up -d, 1 service", unit: millis, goal: "≤ 35 ms"}
	for _, v := range []float64{30, 10, 20} {
		r.putValue("mycompose", v)
		r.putValue("docker compose", v*10)
		r.runc.add(40)
	}
	r.floor.add(2.345)
	return r
}

func TestTheTableShowsMediansAndFactors(t *testing.T) {
	speed := &row{key: "dns", what: "DNS", unit: rate}
	speed.putValue("mycompose", 50000)
	speed.putValue("docker compose", 25000)
	want := `| what             | floor   | mycompose | peers                   | better by | ÷ runc run | goal    |
|------------------|---------|-----------|-------------------------|-----------|------------|---------|
| up -d, 1 service | 2.35 ms | 20.0 ms   | docker compose 200 ms   | 10×       | 0.50       | ≤ 35 ms |
| DNS              |         | 50,000/s  | docker compose 25,000/s | 2×        |            |         |
`
	if got := markdown([]*row{sample(), speed, {what: "not measured"}}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCompareNamesWhatGotWorseByAQuarter(t *testing.T) {
	before := stored{Date: "2026-01-01", Rows: map[string]ratio{}}
	before.Rows["up-1"], _ = ratioOf(sample())
	slower := func(by float64) string {
		r := &row{key: "up-1", what: "up -d", unit: millis}
		r.putValue("mycompose", 20*by)
		r.runc.add(40)
		return compare(before, []*row{r})
	}
	if got := slower(1.2); strings.Contains(got, "worse") {
		t.Errorf("a fifth is told: %s", got)
	}
	if got := slower(1.3); !strings.Contains(got, "worse: up -d: 1.30 times") {
		t.Errorf("a third is not told: %s", got)
	}
	// A machine that is half as fast makes nothing worse.
	r := &row{key: "up-1", what: "up -d", unit: millis}
	r.putValue("mycompose", 40)
	r.runc.add(80)
	if got := compare(before, []*row{r}); strings.Contains(got, "worse") {
		t.Errorf("a slow machine is told: %s", got)
	}
	if got := compare(before, []*row{{key: "new", what: "new row", unit: mega, ours: series{values: []float64{1}}}}); !strings.Contains(got, "new:   new row") {
		t.Errorf("a new row is not told: %s", got)
	}
	fast, slow := ratio{Unit: rate, Ratio: 100}, ratio{Unit: rate, Ratio: 50}
	if by := worse(fast, slow); by != 2 {
		t.Errorf("half the rate is worse by %v", by)
	}
}

func TestTheTableGoesBetweenTheMarks(t *testing.T) {
	got, err := intoReadme("head\n"+beginMark+"\nold\n"+endMark+"\ntail\n", "new\n")
	if want := "head\n" + beginMark + "\n\nnew\n\n" + endMark + "\ntail\n"; err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := intoReadme("no marks", "new"); err == nil {
		t.Error("a README without marks is taken")
	}
}

func TestRowKeysAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range allGroups() {
		for _, r := range g.rows {
			if seen[r.key] || r.key == "" {
				t.Errorf("the key %q stands twice", r.key)
			}
			seen[r.key] = true
		}
	}
}
