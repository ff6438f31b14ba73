// Package graph is a small directed acyclic graph: order, reverse, a cycle by
// its path, and a bounded parallel walk. It knows neither services nor steps.
//
// Invariants: nodes keep the order in which they were added, so that equal
// input gives an equal Order; an edge always means "after".
//
// A Graph is not safe for concurrent change; Walk only reads it.
package graph

import (
	"fmt"
	"slices"
	"strings"
)

// Graph holds nodes and what each comes after. The zero value is empty.
type Graph[K comparable] struct {
	nodes []K
	after map[K][]K
}

// CycleError says that nodes wait for each other in a ring.
type CycleError[K comparable] struct {
	// Path begins and ends with the same node; each comes after the next.
	Path []K
}

// Error reads "dependency cycle detected: a -> b -> a".
func (e *CycleError[K]) Error() string {
	words := make([]string, len(e.Path))
	for i, node := range e.Path {
		words[i] = fmt.Sprint(node)
	}
	return "dependency cycle detected: " + strings.Join(words, " -> ")
}

// Add puts a node and the nodes it comes after into the graph. It may be called
// again for the same node; further edges are added to those there are. Nodes
// that are only named in after are nodes too.
func (g *Graph[K]) Add(node K, after ...K) {
	g.node(node)
	for _, a := range after {
		g.node(a)
		if !slices.Contains(g.after[node], a) {
			g.after[node] = append(g.after[node], a)
		}
	}
}

func (g *Graph[K]) node(node K) {
	if g.after == nil {
		g.after = map[K][]K{}
	}
	if _, ok := g.after[node]; !ok {
		g.after[node] = nil
		g.nodes = append(g.nodes, node)
	}
}

// Has reports whether the node is in the graph.
func (g *Graph[K]) Has(node K) bool {
	_, ok := g.after[node]
	return ok
}

// Nodes returns all nodes in the order they were added.
func (g *Graph[K]) Nodes() []K { return slices.Clone(g.nodes) }

// After returns what the node comes directly after.
func (g *Graph[K]) After(node K) []K { return slices.Clone(g.after[node]) }

// Reverse returns the graph with every edge turned round.
func (g *Graph[K]) Reverse() *Graph[K] {
	r := &Graph[K]{}
	for _, node := range g.nodes {
		r.Add(node)
	}
	for _, node := range g.nodes {
		for _, a := range g.after[node] {
			r.Add(a, node)
		}
	}
	return r
}

// Order returns the nodes so that each stands behind everything it comes after,
// and otherwise in the order they were added. It fails with a *CycleError.
func (g *Graph[K]) Order() ([]K, error) {
	order := make([]K, 0, len(g.nodes))
	if path := g.visitAll(func(node K) { order = append(order, node) }); path != nil {
		return nil, &CycleError[K]{Path: path}
	}
	return order, nil
}

// Cycle returns the path of one cycle, first node repeated at the end, or nil.
func (g *Graph[K]) Cycle() []K {
	return g.visitAll(func(K) {})
}

// visitAll calls leave for each node behind its predecessors, and returns the
// path of the first cycle it meets.
func (g *Graph[K]) visitAll(leave func(K)) []K {
	const (
		open   = 1
		closed = 2
	)
	mark := make(map[K]int, len(g.nodes))
	var trail, cycle []K
	var visit func(K) bool
	visit = func(node K) bool {
		switch mark[node] {
		case closed:
			return true
		case open:
			start := slices.Index(trail, node)
			cycle = append(slices.Clone(trail[start:]), node)
			return false
		}
		mark[node] = open
		trail = append(trail, node)
		for _, a := range g.after[node] {
			if !visit(a) {
				return false
			}
		}
		trail = trail[:len(trail)-1]
		mark[node] = closed
		leave(node)
		return true
	}
	for _, node := range g.nodes {
		if !visit(node) {
			return cycle
		}
	}
	return nil
}
