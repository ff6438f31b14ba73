package graph

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOrderPutsNodesBehindWhatTheyComeAfter(t *testing.T) {
	var g Graph[string]
	g.Add("web", "db", "cache")
	g.Add("db")
	g.Add("lone")
	got, err := g.Order()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"db", "cache", "web", "lone"}; !slices.Equal(got, want) {
		t.Fatalf("order %v, want %v", got, want)
	}
}

func TestCycleIsNamedByItsPath(t *testing.T) {
	cases := []struct {
		name  string
		edges [][2]string
		want  string
	}{
		{"two nodes", [][2]string{{"a", "b"}, {"b", "a"}}, "dependency cycle detected: a -> b -> a"},
		{"itself", [][2]string{{"a", "a"}}, "dependency cycle detected: a -> a"},
		{"behind a tail", [][2]string{{"t", "a"}, {"a", "b"}, {"b", "c"}, {"c", "a"}}, "dependency cycle detected: a -> b -> c -> a"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var g Graph[string]
			for _, e := range c.edges {
				g.Add(e[0], e[1])
			}
			_, err := g.Order()
			var cycle *CycleError[string]
			if !errors.As(err, &cycle) || err.Error() != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if err := (Walker[string]{Visit: func(context.Context, string) error {
				t.Error("visited a node of a cyclic graph")
				return nil
			}}).Walk(t.Context(), &g); !errors.As(err, &cycle) {
				t.Fatalf("walk: got %v", err)
			}
		})
	}
}

func TestReverseOfReverseHasTheSameEdges(t *testing.T) {
	g := random(rand.New(rand.NewPCG(1, 2)), 40)
	twice := g.Reverse().Reverse()
	for _, node := range g.Nodes() {
		a, b := g.After(node), twice.After(node)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Fatalf("node %d: %v became %v", node, a, b)
		}
	}
}

func TestWalkVisitsEachNodeOnceBehindItsPredecessors(t *testing.T) {
	for seed := range uint64(50) {
		t.Run("seed "+strconv.FormatUint(seed, 10), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			g := random(rnd, 30)
			limit := rnd.IntN(5)
			var mu sync.Mutex
			done := map[int]bool{}
			var running, most atomic.Int32
			err := Walker[int]{Limit: limit, Visit: func(_ context.Context, node int) error {
				for now := running.Add(1); ; {
					old := most.Load()
					if now <= old || most.CompareAndSwap(old, now) {
						break
					}
				}
				defer running.Add(-1)
				mu.Lock()
				defer mu.Unlock()
				for _, a := range g.After(node) {
					if !done[a] {
						t.Errorf("%d visited before %d", node, a)
					}
				}
				if done[node] {
					t.Errorf("%d visited twice", node)
				}
				done[node] = true
				return nil
			}}.Walk(t.Context(), g)
			if err != nil || len(done) != 30 {
				t.Fatalf("err %v, visited %d", err, len(done))
			}
			if limit > 0 && most.Load() > int32(limit) {
				t.Fatalf("%d visits at a time, limit %d", most.Load(), limit)
			}
		})
	}
}

func TestAfterAFailureRunningVisitsEndAndNoneBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Graph[string]
		g.Add("fails")
		g.Add("slow")
		g.Add("next", "slow")
		var slowEnded bool
		boom := errors.New("boom")
		err := Walker[string]{Visit: func(_ context.Context, node string) error {
			switch node {
			case "fails":
				return boom
			case "slow":
				time.Sleep(time.Minute)
				slowEnded = true
			case "next":
				t.Error("next began after the failure")
			}
			return nil
		}}.Walk(t.Context(), &g)
		if !errors.Is(err, boom) || !slowEnded {
			t.Fatalf("err %v, slow ended %v", err, slowEnded)
		}
	})
}

func TestKeepGoingVisitsWhatIsNotBehindTheFailure(t *testing.T) {
	var g Graph[string]
	g.Add("fails")
	g.Add("behind", "fails")
	g.Add("a")
	g.Add("b", "a")
	boom := errors.New("boom")
	var mu sync.Mutex
	var visited []string
	err := Walker[string]{KeepGoing: true, Limit: 1, Visit: func(_ context.Context, node string) error {
		mu.Lock()
		defer mu.Unlock()
		visited = append(visited, node)
		if node == "fails" {
			return boom
		}
		return nil
	}}.Walk(t.Context(), &g)
	if want := []string{"fails", "a", "b"}; !errors.Is(err, boom) || !slices.Equal(visited, want) {
		t.Fatalf("err %v, visited %v, want %v", err, visited, want)
	}
}

func TestCancelStartsNothingNewAndTellsItsCause(t *testing.T) {
	var g Graph[string]
	g.Add("first")
	g.Add("second", "first")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("down asked")
	err := Walker[string]{Visit: func(_ context.Context, node string) error {
		if node == "second" {
			t.Error("second began after the cancel")
		}
		cancel(why)
		return nil
	}}.Walk(ctx, &g)
	if !errors.Is(err, why) {
		t.Fatalf("got %v", err)
	}
}

func TestAGrownGraphIsWalkedToItsEnd(t *testing.T) {
	var g Graph[string]
	g.Add("image")
	g.Add("gate", "image")
	g.Add("dependant", "gate")
	var grown Graph[string]
	grown.Add("image")
	grown.Add("create", "image")
	grown.Add("start", "create")
	grown.Add("dependant", "start")
	var mu sync.Mutex
	var visited []string
	err := Walker[string]{
		Visit: func(_ context.Context, node string) error {
			mu.Lock()
			defer mu.Unlock()
			visited = append(visited, node)
			return nil
		},
		Grow: func(done string) (*Graph[string], error) {
			if done == "image" {
				return &grown, nil
			}
			return nil, nil
		},
	}.Walk(t.Context(), &g)
	if want := []string{"image", "create", "start", "dependant"}; err != nil || !slices.Equal(visited, want) {
		t.Fatalf("err %v, visited %v, want %v", err, visited, want)
	}
}

func TestNodesThatWaitTakeNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Graph[string]
		g.Add("wait")
		g.Add("work")
		worked := make(chan struct{})
		err := Walker[string]{Limit: 1, Waits: func(n string) bool { return n == "wait" },
			Visit: func(_ context.Context, node string) error {
				if node == "wait" {
					<-worked
				} else {
					close(worked)
				}
				return nil
			}}.Walk(t.Context(), &g)
		if err != nil {
			t.Fatal(err)
		}
	})
}

// random returns an acyclic graph: edges lead from higher to lower numbers.
func random(rnd *rand.Rand, n int) *Graph[int] {
	g := &Graph[int]{}
	for _, node := range rnd.Perm(n) {
		g.Add(node)
		for range rnd.IntN(4) {
			if node > 0 {
				g.Add(node, rnd.IntN(node))
			}
		}
	}
	return g
}
