package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// EventRequest asks for what happens to containers.
type EventRequest struct {
	Project string
	// Services selects by service name; empty is all.
	Services []string
	// Since takes in the past from a time on, as far as the daemon keeps it;
	// zero begins now. Until ends the stream; zero does not.
	Since, Until time.Time
}

// labelOfService is the label with the name of a container's service.
const labelOfService = "com.docker.compose.service"

// Wants reports whether an event is asked for.
func (q EventRequest) Wants(e spec.Event) bool {
	return (q.Project == "" || e.Project == q.Project) && !e.Time.Before(q.Since) &&
		(q.Until.IsZero() || !e.Time.After(q.Until)) &&
		(len(q.Services) == 0 || slices.Contains(q.Services, e.Labels[labelOfService]))
}

func (q EventRequest) query() url.Values {
	out := url.Values{"project": {q.Project}, "service": q.Services}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			out.Set(name, strconv.FormatInt(at.UnixNano(), 10))
		}
	}
	return out
}

// ParseEventRequest is the daemon's half of EventRequest.
func ParseEventRequest(query url.Values) (EventRequest, error) {
	q := EventRequest{Project: query.Get("project"), Services: query["service"]}
	for name, at := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return q, spec.Errorf(spec.ErrInvalid, "cannot read events: %s is no number: %q", name, text)
		}
		*at = time.Unix(0, n)
	}
	return q, nil
}

// Events gives each event to on until the request's end, until on fails, or
// until ctx ends. It survives a restart of the daemon; what happens in between
// is seen only in what it leads to.
func (c *Client) Events(ctx context.Context, q EventRequest, on func(spec.Event) error) error {
	for {
		err := c.eventsOnce(ctx, &q, on)
		if err == nil || ctx.Err() != nil || !lost(err) {
			return err
		}
		pause(ctx, 0)
	}
}

func (c *Client) eventsOnce(ctx context.Context, q *EventRequest, on func(spec.Event) error) error {
	if err := c.Ready(ctx); err != nil {
		return err
	}
	r, err := c.newRequest(ctx, http.MethodGet, "/events", q.query(), nil)
	if err != nil {
		return err
	}
	answer, err := c.do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for lines := json.NewDecoder(bufio.NewReader(answer.Body)); ; {
		var e spec.Event
		switch err := lines.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil // the daemon says that there is no more
		case err != nil:
			return err
		}
		q.Since = e.Time.Add(1)
		if err := on(e); err != nil {
			return err
		}
	}
}

// ContainerProcesses lists the processes of a container.
func (c *Client) ContainerProcesses(ctx context.Context, id string) ([]spec.Process, error) {
	var out []spec.Process
	err := c.call(ctx, http.MethodGet, "/containers/"+id+"/processes", nil, nil, &out)
	return out, err
}

// ContainerStats tells what a container uses now.
func (c *Client) ContainerStats(ctx context.Context, id string) (spec.Stats, error) {
	var out spec.Stats
	err := c.call(ctx, http.MethodGet, "/containers/"+id+"/stats", nil, nil, &out)
	return out, err
}
