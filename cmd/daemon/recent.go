package daemon

import (
	"slices"
	"sync"
)

// recentSize bounds what a recent holds: models of 50 services take about
// half a megabyte each.
const recentSize = 4

// recent keeps the values that were used last, by key. The daemon alone writes
// the files that they come from, so they stay true until it drops them; nobody
// changes a value. The zero value is empty. Its methods may be called by many
// goroutines.
type recent[V any] struct {
	mu    sync.Mutex
	items []recentItem[V] // the newest last
}

type recentItem[V any] struct {
	key   string
	value V
}

func (r *recent[V]) get(key string) (value V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.indexLocked(key)
	if at < 0 {
		return value, false
	}
	item := r.items[at]
	r.items = append(slices.Delete(r.items, at, at+1), item)
	return item.value, true
}

func (r *recent[V]) put(key string, value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := r.indexLocked(key); at >= 0 {
		r.items = slices.Delete(r.items, at, at+1)
	}
	if len(r.items) == recentSize {
		r.items = slices.Delete(r.items, 0, 1)
	}
	r.items = append(r.items, recentItem[V]{key, value})
}

func (r *recent[V]) drop(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := r.indexLocked(key); at >= 0 {
		r.items = slices.Delete(r.items, at, at+1)
	}
}

func (r *recent[V]) indexLocked(key string) int {
	return slices.IndexFunc(r.items, func(i recentItem[V]) bool { return i.key == key })
}
