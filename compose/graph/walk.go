package graph

import (
	"context"
)

// Walker visits the nodes of a graph, each after everything it comes after has
// been visited, side by side where the graph allows.
//
//	waiting ──all it comes after are done──▶ ready ──a place is free──▶ visited ──▶ done
//	                                                                       └─error─▶ failed
//
// After a failure or when the context ends no further visit begins; those that
// run are waited for.
type Walker[K comparable] struct {
	// Visit does the work of a node. It is called from many goroutines.
	Visit func(ctx context.Context, node K) error
	// Limit is how many visits run at the same time; zero is without bound.
	Limit int
	// Waits tells the nodes that only wait for something else and so take no
	// place of Limit. Nil: none.
	Waits func(node K) bool
	// Grow is called after a successful visit, before anything behind the node
	// may begin, and only from Walk's own goroutine. A graph that it returns
	// takes the place of the one walked. It must hold every node that was
	// visited or is being visited.
	Grow func(done K) (*Graph[K], error)
	// KeepGoing visits everything that is not behind a failed node.
	KeepGoing bool
}

// Walk visits the graph and returns when no visit runs any more. The error is
// the first failure in time, or the cause of the context's end if that kept
// nodes from being visited, or a *CycleError before any visit.
func (w Walker[K]) Walk(ctx context.Context, g *Graph[K]) error {
	if path := g.Cycle(); path != nil {
		return &CycleError[K]{Path: path}
	}
	walk := &walk[K]{Walker: w, done: map[K]bool{}, begun: map[K]bool{}, ends: make(chan end[K])}
	walk.adopt(g)
	return walk.run(ctx)
}

type end[K comparable] struct {
	node K
	err  error
}

// walk is the state of one Walk; only the goroutine of run touches it.
type walk[K comparable] struct {
	Walker[K]
	graph   *Graph[K]
	behind  *Graph[K]
	missing map[K]int // how many predecessors are not done
	ready   []K
	done    map[K]bool
	begun   map[K]bool
	running int // visits
	placed  int // visits that take a place
	err     error
	ends    chan end[K]
}

// adopt takes over a graph and finds what is ready in it.
func (w *walk[K]) adopt(g *Graph[K]) {
	w.graph, w.behind = g, g.Reverse()
	w.missing = make(map[K]int, len(g.nodes))
	w.ready = nil
	for _, node := range g.nodes {
		if w.begun[node] {
			continue
		}
		for _, a := range g.after[node] {
			if !w.done[a] {
				w.missing[node]++
			}
		}
		if w.missing[node] == 0 {
			w.ready = append(w.ready, node)
		}
	}
}

func (w *walk[K]) run(ctx context.Context) error {
	for {
		if w.mayBegin(ctx) {
			w.beginReady(ctx)
		}
		if w.running == 0 {
			break
		}
		w.finish(<-w.ends)
	}
	if w.err == nil && ctx.Err() != nil && len(w.done) < len(w.graph.nodes) {
		return context.Cause(ctx)
	}
	return w.err
}

func (w *walk[K]) mayBegin(ctx context.Context) bool {
	return ctx.Err() == nil && (w.err == nil || w.KeepGoing)
}

// beginReady begins every ready visit that there is a place for.
func (w *walk[K]) beginReady(ctx context.Context) {
	left := w.ready[:0:0]
	for _, node := range w.ready {
		waits := w.Waits != nil && w.Waits(node)
		if !waits && w.Limit > 0 && w.placed >= w.Limit {
			left = append(left, node)
			continue
		}
		w.begun[node] = true
		w.running++
		if !waits {
			w.placed++
		}
		go func() { w.ends <- end[K]{node, w.Visit(ctx, node)} }()
	}
	w.ready = left
}

// finish takes in the end of a visit.
func (w *walk[K]) finish(e end[K]) {
	w.running--
	if w.Waits == nil || !w.Waits(e.node) {
		w.placed--
	}
	if e.err != nil {
		w.fail(e.err)
		return
	}
	w.done[e.node] = true
	if w.Grow != nil {
		grown, err := w.Grow(e.node)
		if err == nil && grown != nil {
			if path := grown.Cycle(); path != nil {
				err = &CycleError[K]{Path: path}
			}
		}
		if err != nil {
			w.fail(err)
			return
		}
		if grown != nil {
			w.adopt(grown)
			return
		}
	}
	for _, next := range w.behind.after[e.node] {
		if w.missing[next]--; w.missing[next] == 0 && !w.begun[next] {
			w.ready = append(w.ready, next)
		}
	}
}

func (w *walk[K]) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
