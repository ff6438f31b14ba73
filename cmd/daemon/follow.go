package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/event"
)

// settleTime is how long files of the model must be left alone before they are
// loaded: editors save in several steps.
const settleTime = 100 * time.Millisecond

// follower has a watched project follow its compose files, includes and env
// files: it is compose's Follower.
//
//	fsnotify ─▶ 100 ms of silence ─▶ mycompose load ─▶ plan, told ─▶ up
//	                                      └─ errors, told: nothing changes
type follower struct {
	life   context.Context // the daemon's
	take   func(client.Operation) (*operation, error)
	binary string // what `load` is executed from
}

// Follow implements compose.Follower.
func (f follower) Follow(ctx context.Context, w compose.Watching, tell func(event.Watch)) error {
	var from origin
	if err := json.Unmarshal(w.Origin, &from); err != nil {
		return fmt.Errorf("cannot read how %s is watched: %w", w.Project, err)
	}
	if from.Up.Follow == nil {
		return nil
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("cannot watch the files of the model: %w", err)
	}
	defer notify.Close()
	for _, path := range from.Up.Follow.Paths {
		// A folder that is not there tells nothing; nor could it before.
		if err := notify.Add(filepath.Dir(path)); err != nil && !errors.Is(err, os.ErrNotExist) {
			tell(event.Watch{Kind: event.WatchNotice, Text: fmt.Sprintf("cannot watch %s: %v", filepath.Dir(path), err)})
		}
	}
	due := time.NewTimer(0) // what was changed while nobody followed
	defer due.Stop()
	wrong := false // what was told last
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-notify.Events:
			if !open {
				return nil
			}
			if slices.Contains(from.Up.Follow.Paths, e.Name) && e.Op != fsnotify.Chmod {
				due.Reset(settleTime)
			}
		case <-notify.Errors: // an overflow: anything may have changed
			due.Reset(settleTime)
		case <-due.C:
			next, err := f.check(ctx, w, from, tell)
			switch {
			case f.life.Err() != nil: // the next daemon goes on
			case err != nil:
				tell(event.Watch{Kind: event.WatchFailed, Action: "follow", Text: err.Error()})
			case next != nil:
				from.Up.Follow = next
			case wrong && ctx.Err() == nil:
				tell(event.Watch{Kind: event.WatchNotice, Text: "The files of project " + w.Project + " are right again: nothing to do"})
			}
			wrong = err != nil
		}
	}
}

// check loads the model, and brings the project up with it if it has changed.
// It returns how the project is followed from then on, nil as before.
func (f follower) check(ctx context.Context, w compose.Watching, from origin, tell func(event.Watch)) (*client.Follow, error) {
	answer, err := f.load(ctx, from.Up)
	switch {
	case ctx.Err() != nil:
		return nil, nil
	case err != nil:
		return nil, err
	case answer.Error != "":
		return nil, errors.New(answer.Error)
	case answer.Unchanged:
		return nil, nil
	case answer.Input == nil || answer.Project != w.Project:
		return nil, fmt.Errorf("the files are those of project %q now: `mycompose up` brings that up", answer.Project)
	}
	up := from.Up
	up.Watch, up.Follow = true, answer.Follow
	for _, dryRun := range []bool{true, false} {
		if ctx.Err() != nil { // a command of the user's came before
			return nil, nil
		}
		if err := f.up(w.Project, from, up, answer.Input, dryRun, tell); err != nil {
			return nil, err
		}
	}
	tell(event.Watch{Kind: event.WatchNotice, Text: "Project " + w.Project + " now matches its files"})
	return answer.Follow, nil
}

// load runs the hidden command: parsing costs memory that this process shall
// not keep.
func (f follower) load(ctx context.Context, up client.UpRequest) (client.LoadAnswer, error) {
	var out client.LoadAnswer
	request, err := json.Marshal(client.LoadRequest{Follow: *up.Follow, Services: up.Services, Scale: up.Scale})
	if err != nil {
		return out, fmt.Errorf("cannot load the model: %w", err)
	}
	cmd := exec.CommandContext(ctx, f.binary, client.LoadCommand)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), &stdout, &stderr
	// The user's variables are in the request; ours are none of its settings.
	cmd.Env = []string{"HOME=/nonexistent", "PATH=" + os.Getenv("PATH")}
	if err := cmd.Run(); err != nil {
		return out, fmt.Errorf("cannot load the model: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		return out, fmt.Errorf("cannot load the model: %w", err)
	}
	return out, nil
}

// up brings the project up with the new model, or tells what that would do.
func (f follower) up(project string, from origin, up client.UpRequest, in *client.Input, dryRun bool, tell func(event.Watch)) error {
	request, err := json.Marshal(up)
	if err != nil {
		return fmt.Errorf("cannot follow %s: %w", project, err)
	}
	op, err := f.take(client.Operation{
		ID: client.NewID(), Kind: client.Up, Project: project, Request: request, Input: in, Settings: from.Settings, DryRun: dryRun,
	})
	if err != nil {
		return err
	}
	// Its end is told also if the following ends meanwhile: by a command of the
	// user's, or by this very operation, which begins a new one.
	result, err := op.wait(f.life)
	if err != nil {
		return err
	}
	if result.Error != "" {
		return errors.New(result.Error)
	}
	events, _ := op.from(1)
	for _, e := range events {
		if e.Kind != event.KindPlan {
			continue
		}
		for line := range strings.SplitSeq(strings.TrimSpace(e.Text), "\n") {
			tell(event.Watch{Kind: event.WatchPlan, Text: line})
		}
	}
	return nil
}
