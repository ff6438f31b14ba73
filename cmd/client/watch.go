package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/mycompose/mycompose/compose/event"
)

// WatchRequest begins to watch a project that is up.
type WatchRequest struct {
	// Services selects; empty is all that have rules.
	Services []string `json:"services,omitempty"`
	// Follow has the project follow its compose files too; nil does not.
	Follow *Follow `json:"follow,omitempty"`
	// KeepImages keeps the images without a name that rebuilds leave.
	KeepImages bool `json:"keepImages,omitempty"`
}

// WatchAction is the body of POST projects/NAME/watch.
type WatchAction struct {
	// Action is pause, resume or stop.
	Action string `json:"action"`
}

// WatchStatus is how the watching of a project stands.
type WatchStatus struct {
	Project  string   `json:"project"`
	Services []string `json:"services"`
	Paused   bool     `json:"paused,omitempty"`
	// Files counts those that are known, Folders those that the kernel tells of.
	Files   int `json:"files"`
	Folders int `json:"folders"`
	// Polled counts folders that are looked at every second instead.
	Polled int `json:"polled,omitempty"`
	// Waiting are services with changes that are not in their containers yet,
	// Flapping those whose restarts rest because there were too many.
	Waiting  []string      `json:"waiting,omitempty"`
	Flapping []string      `json:"flapping,omitempty"`
	Rules    []string      `json:"rules"`
	Last     []event.Watch `json:"last,omitempty"`
}

// WatchVerdict is what one rule makes of a path, and why.
type WatchVerdict struct {
	Rule    string `json:"rule"` // its place in the file
	Service string `json:"service"`
	Action  string `json:"action"`
	Wants   bool   `json:"wants"`
	Text    string `json:"text"`
	// Pattern decided; Origin is where it stands.
	Pattern string `json:"pattern,omitempty"`
	Origin  string `json:"origin,omitempty"`
	// Target is where the path goes in the container.
	Target string `json:"target,omitempty"`
}

func watchPath(project string) string { return "/projects/" + url.PathEscape(project) + "/watch" }

// WatchStatus asks how the watching of a project stands; spec.ErrNotFound if it
// is not watched.
func (c *Client) WatchStatus(ctx context.Context, project string) (WatchStatus, error) {
	var out WatchStatus
	err := c.call(ctx, http.MethodGet, watchPath(project), nil, nil, &out)
	return out, err
}

// ChangeWatch pauses, resumes or stops the watching of a project.
func (c *Client) ChangeWatch(ctx context.Context, project, action string) error {
	return c.call(ctx, http.MethodPost, watchPath(project), nil, WatchAction{action}, nil)
}

// ExplainWatch asks what the rules of a watched project make of an absolute
// path.
func (c *Client) ExplainWatch(ctx context.Context, project, path string) ([]WatchVerdict, error) {
	var out []WatchVerdict
	err := c.call(ctx, http.MethodGet, watchPath(project)+"/explain", url.Values{"path": {path}}, nil, &out)
	return out, err
}

// FollowWatch gives what happens to a watched project to on, until its watching
// ends or ctx does. A lost daemon is waited for: the next one goes on.
func (c *Client) FollowWatch(ctx context.Context, project string, on func(event.Watch)) error {
	next, instance := int64(1), ""
	for attempt := 0; ; attempt++ {
		ended, err := c.followWatchOnce(ctx, project, &next, &instance, func(e event.Watch) {
			attempt = 0
			on(e)
		})
		if ended || ctx.Err() != nil || err != nil && !lost(err) || attempt == attempts {
			return err
		}
		pause(ctx, attempt%8)
	}
}

func (c *Client) followWatchOnce(ctx context.Context, project string, next *int64, instance *string, on func(event.Watch)) (ended bool, err error) {
	if err := c.Ready(ctx); err != nil {
		return false, err
	}
	peer, err := c.Hello(ctx)
	if err != nil {
		return false, err
	}
	if peer.Instance != *instance { // another daemon counts anew
		*next, *instance = 1, peer.Instance
	}
	query := url.Values{"from": {strconv.FormatInt(*next, 10)}}
	r, err := c.newRequest(ctx, http.MethodGet, watchPath(project)+"/events", query, nil)
	if err != nil {
		return false, err
	}
	answer, err := c.do(r)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	lines := json.NewDecoder(answer.Body)
	for {
		var e event.Watch
		if err := lines.Decode(&e); err != nil {
			return false, err
		}
		*next = e.Sequence + 1
		on(e)
		if e.Kind == event.WatchEnded {
			return true, nil
		}
	}
}
