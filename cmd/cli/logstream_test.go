package cli

import (
	"testing"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
)

// After a reconnect lines come again: those that were shown are left out, of
// an instant with many lines as many as were shown.
func TestAFollowThatComesBackShowsEachLineOnce(t *testing.T) {
	begun := time.Unix(1000, 0)
	p := &positions{begun: begun, shown: map[string]map[byte]position{}}
	at := func(n int) time.Time { return begun.Add(time.Duration(n) * time.Second) }
	p.name("web-1")
	p.name("quiet-1")
	for range 3 {
		p.isNew("web-1", client.Stdout, at(5))
	}
	p.isNew("web-1", client.Stderr, at(7))
	if since := p.again(client.LogRequest{Tail: 10}); !since.Equal(begun) {
		t.Errorf("a tail comes back at %v, want when it began", since)
	}
	if since := p.again(client.LogRequest{Tail: -1}); !since.IsZero() {
		t.Errorf("all of a quiet replica is still to come, not since %v", since)
	}
	for i, line := range []struct {
		name   string
		stream byte
		at     int
		want   bool
	}{
		{"web-1", client.Stdout, 4, false}, {"web-1", client.Stdout, 5, false}, {"web-1", client.Stdout, 5, false},
		{"web-1", client.Stdout, 5, false}, {"web-1", client.Stdout, 5, true}, {"web-1", client.Stderr, 7, false},
		{"web-1", client.Stderr, 7, true}, {"web-1", client.Stdout, 6, true}, {"web-1", client.Stdout, 2, true}, {"quiet-1", client.Stdout, 1, true},
	} {
		if got := p.isNew(line.name, line.stream, at(line.at)); got != line.want {
			t.Errorf("line %d is new: %v, want %v", i, got, line.want)
		}
	}
}
