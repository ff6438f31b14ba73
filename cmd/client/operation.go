package client

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/fault"
)

// NewID returns a fresh id of an operation or an exec: 32 hex digits.
func NewID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails, crypto/rand
	return hex.EncodeToString(id[:])
}

// StartOperation hands an operation over. Once it returns without error the
// operation is durable. It may be repeated: the id makes it one operation. Its
// events follow in the same answer, for Follow, which must be called.
func (c *Client) StartOperation(ctx context.Context, op Operation) error {
	for attempt := 0; ; attempt++ {
		err := c.startOnce(ctx, op)
		if err == nil || ctx.Err() != nil || attempt == 5 || !lost(err) {
			return err
		}
		pause(ctx, attempt)
	}
}

func (c *Client) startOnce(ctx context.Context, op Operation) error {
	if err := c.Ready(ctx); err != nil {
		return err
	}
	// The answer outlives ctx: its events end with Follow's.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	r, err := c.newRequest(life, http.MethodPost, "/operations", url.Values{"follow": {"1"}}, op)
	if err != nil {
		end()
		return err
	}
	answer, err := c.do(r)
	stop()
	if err != nil {
		end()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	if answer.Header.Get("Content-Type") != EventsType { // an older daemon: Follow asks for the events
		defer end()
		return answer.Body.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started[op.ID] = opened{answer, end}
	return nil
}

// opened are events on their way, until end.
type opened struct {
	answer *http.Response
	end    context.CancelFunc
}

// events opens the events of an operation from a number on. They end with ctx
// or with end.
func (c *Client) events(ctx context.Context, id string, next int64) (from io.Reader, end func(), err error) {
	c.mu.Lock()
	o, ok := c.started[id]
	delete(c.started, id)
	c.mu.Unlock()
	if ok {
		stop := context.AfterFunc(ctx, o.end)
		return o.answer.Body, func() { stop(); o.answer.Body.Close(); o.end() }, nil
	}
	if err := c.Ready(ctx); err != nil {
		return nil, nil, err
	}
	query := url.Values{"from": {strconv.FormatInt(next, 10)}}
	r, err := c.newRequest(ctx, http.MethodGet, "/operations/"+id+"/events", query, nil)
	if err != nil {
		return nil, nil, err
	}
	answer, err := c.do(r)
	if err != nil {
		return nil, nil, err
	}
	return answer.Body, func() { answer.Body.Close() }, nil
}

// Operation returns an operation as it stands.
func (c *Client) Operation(ctx context.Context, id string) (OperationStatus, error) {
	var s OperationStatus
	err := c.call(ctx, http.MethodGet, "/operations/"+id, nil, nil, &s)
	return s, err
}

// Cancel asks an operation to end: steps in flight end, no new ones start.
func (c *Client) Cancel(ctx context.Context, id, by string) error {
	return c.call(ctx, http.MethodPost, "/operations/"+id+"/cancel", nil, CancelRequest{By: by}, nil)
}

// attempts is how often Follow comes back without having got an event in
// between; with the pauses in between about a minute.
const attempts = 60

// Follow gives the events of an operation to on, each once and in order, and
// returns its result. A lost connection is made again, also to another daemon,
// and the events go on where they stopped.
func (c *Client) Follow(ctx context.Context, id string, on func(event.Event)) (event.Result, error) {
	next := int64(1)
	for attempt := 0; ; attempt++ {
		before := next
		result, err := c.followOnce(ctx, id, &next, on)
		if result != nil {
			return *result, nil
		}
		if ctx.Err() != nil {
			return event.Result{}, ctx.Err()
		}
		if err != nil && !lost(err) {
			return event.Result{}, err
		}
		if next > before {
			attempt = 0
		}
		if attempt == attempts {
			return event.Result{}, fmt.Errorf("cannot follow operation %s: %w", id, err)
		}
		pause(ctx, attempt%8)
	}
}

func (c *Client) followOnce(ctx context.Context, id string, next *int64, on func(event.Event)) (*event.Result, error) {
	from, end, err := c.events(ctx, id, *next)
	if err != nil {
		return nil, err
	}
	defer end()
	lines := json.NewDecoder(bufio.NewReader(from))
	for {
		var e event.Event
		if err := lines.Decode(&e); err != nil {
			return nil, err
		}
		if e.Sequence < *next {
			continue
		}
		*next = e.Sequence + 1
		on(e)
		fault.Point("client:event")
		if e.Kind == event.KindResult && e.Result != nil {
			return e.Result, nil
		}
	}
}
