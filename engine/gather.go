package engine

import "sync"

// gather joins calls: those that come while one is under way go together as
// the next one. Each returns once its own has been made.
type gather struct {
	mu      sync.Mutex // guards what follows
	next    *gathered
	running bool
}

// gathered is one joined call.
type gathered struct {
	words []string
	done  chan struct{}
	err   error // once done is closed
}

// do has call made with word among others. All callers give the same call.
func (g *gather) do(word string, call func(words []string) error) error {
	g.mu.Lock()
	if g.next == nil {
		g.next = &gathered{done: make(chan struct{})}
	}
	mine := g.next
	mine.words = append(mine.words, word)
	if !g.running {
		g.running = true
		go g.run(call) // ends with the last call that somebody below waits for
	}
	g.mu.Unlock()
	<-mine.done
	return mine.err
}

func (g *gather) run(call func(words []string) error) {
	for {
		g.mu.Lock()
		round := g.next
		g.next = nil
		g.running = round != nil
		g.mu.Unlock()
		if round == nil {
			return
		}
		round.err = call(round.words)
		close(round.done)
	}
}
