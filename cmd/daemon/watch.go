package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/settings"
	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/watch"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// watchStore keeps what is watched: projects/<name>/watch.json, and what is known
// of the files in projects/<name>/watched.json.
type watchStore struct{ store *store.Store }

func watchingKind() store.Kind {
	return store.Kind{Word: "watched project", Folder: "projects", File: "watch.json", Version: 1}
}

func ledgerKind() store.Kind {
	return store.Kind{Word: "ledger of watched files", Folder: "projects", File: "watched.json", Version: 1}
}

func (s watchStore) get(k store.Kind, project string, into any) error {
	err := s.store.Get(k, project, into)
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*store.TornError)) {
		return spec.Errorf(spec.ErrNotFound, "project %s is not watched", project)
	}
	return err
}

// LoadWatching implements compose.WatchStore.
func (s watchStore) LoadWatching(project string) (w compose.Watching, err error) {
	return w, s.get(watchingKind(), project, &w)
}

// LoadLedger implements compose.WatchStore.
func (s watchStore) LoadLedger(project string) (*watch.Ledger, error) {
	l := watch.NewLedger()
	return l, s.get(ledgerKind(), project, l)
}

// SaveWatching implements compose.WatchStore.
func (s watchStore) SaveWatching(w compose.Watching) error {
	return s.store.Put(watchingKind(), w.Project, w, store.Cached)
}

// SaveLedger implements compose.WatchStore. An older ledger costs a look at the
// files, so it is synced by nobody.
func (s watchStore) SaveLedger(project string, l *watch.Ledger) error {
	return s.store.Put(ledgerKind(), project, l, store.Volatile)
}

// DeleteWatching implements compose.WatchStore.
func (s watchStore) DeleteWatching(project string) error {
	return errors.Join(s.store.Delete(watchingKind(), project), s.store.Delete(ledgerKind(), project))
}

// ListWatching implements compose.WatchStore.
func (s watchStore) ListWatching() ([]string, error) { return s.store.Names(watchingKind()) }

// origin is what operations of a watched project need to be like the one that
// began the watching.
type origin struct {
	Settings settings.Settings `json:"settings"`
	// Up is what up was asked, or would be, to bring the project up again.
	Up client.UpRequest `json:"up"`
}

// watchingOf is what an operation asks to be watched.
func watchingOf(w Work, up client.UpRequest) *compose.Watching {
	again := client.UpRequest{
		Services: up.Services, Scale: up.Scale, NoDeps: up.NoDeps, RemoveOrphans: up.RemoveOrphans, IgnoreOrphans: up.IgnoreOrphans,
		NoBuild: up.NoBuild, Timeout: up.Timeout, Follow: up.Follow, KeepImages: up.KeepImages,
	}
	// It came as JSON: it goes into JSON.
	data, _ := json.Marshal(origin{Settings: w.Settings, Up: again})
	return &compose.Watching{Project: w.Project, Services: up.Services, Origin: data, KeepImages: up.KeepImages}
}

// watchedOperations has operations of watched projects done; it is compose's
// Operations.
type watchedOperations struct{ operations *operations }

// canceledByWatch is who cancels an operation that a newer change makes idle.
const canceledByWatch = "watch"

// Do implements compose.Operations.
func (o watchedOperations) Do(ctx context.Context, w compose.Watching, kind compose.Kind, request any, tell func(event.Event)) (event.Result, error) {
	var from origin
	if err := json.Unmarshal(w.Origin, &from); err != nil {
		return event.Result{}, fmt.Errorf("cannot read how %s is watched: %w", w.Project, err)
	}
	var asked any
	switch r := request.(type) {
	case compose.RestartRequest:
		asked = client.RestartRequest{Services: r.Services}
	case compose.UpRequest:
		asked = client.UpRequest{
			Services: r.Services, NoDeps: r.NoDeps, Build: r.Build == "always", IgnoreOrphans: r.IgnoreOrphans, Scale: from.Up.Scale,
			Prune: r.Prune,
		}
	default:
		return event.Result{}, fmt.Errorf("cannot %s %s: the request is a %T", kind, w.Project, request)
	}
	data, err := json.Marshal(asked)
	if err != nil {
		return event.Result{}, fmt.Errorf("cannot %s %s: %w", kind, w.Project, err)
	}
	settle := o.operations.records.store.Settle
	if kind == compose.Restart {
		// It leaves nothing that a power failure could undo, and a sync waits for
		// all that the project's programs, and ours, have written to that disk.
		settle = nil
	}
	op, err := o.operations.submitSettling(client.Operation{
		ID: client.NewID(), Kind: client.Kind(kind), Project: w.Project, Request: data, Settings: from.Settings,
	}, settle)
	if err != nil {
		return event.Result{}, err
	}
	op.follow(ctx, tell)
	result, err := op.wait(ctx)
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errEnding) {
		op.cancelBy(canceledByWatch)
	}
	return result, err
}

func (s *server) getWatch(w http.ResponseWriter, r *http.Request) error {
	status, err := s.Watches.Status(r.PathValue("name"))
	if err != nil {
		return err
	}
	return answer(w, client.WatchStatus{
		Project: status.Project, Services: status.Services, Paused: status.Paused, Files: status.Files,
		Folders: status.Folders, Polled: status.Polled, Waiting: status.Waiting, Flapping: status.Flapping,
		Rules: status.Rules, Last: status.Last,
	})
}

func (s *server) changeWatch(w http.ResponseWriter, r *http.Request) error {
	var request client.WatchAction
	if err := decode(r, &request); err != nil {
		return err
	}
	project := r.PathValue("name")
	var err error
	switch request.Action {
	case "pause", "resume":
		err = s.Watches.Pause(project, request.Action == "pause")
	case "stop":
		if _, err = s.Watches.Status(project); err == nil {
			err = s.Watches.Stop(project)
		}
	default:
		err = spec.Errorf(spec.ErrInvalid, "cannot %q a watched project: pause, resume or stop", request.Action)
	}
	if err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func (s *server) explainWatch(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.Query().Get("path")
	if !filepath.IsAbs(path) {
		return spec.Errorf(spec.ErrInvalid, "cannot explain %q: it is no absolute path", path)
	}
	verdicts, err := s.Watches.Explain(r.PathValue("name"), path)
	if err != nil {
		return err
	}
	out := []client.WatchVerdict{}
	for _, v := range verdicts {
		out = append(out, client.WatchVerdict{
			Rule: v.Rule, Service: v.Service, Action: v.Action, Wants: v.Wants, Text: v.Text,
			Pattern: v.Pattern, Origin: v.Origin, Target: v.Target,
		})
	}
	return answer(w, out)
}

// getWatchEvents sends events as JSON lines until the watching ends.
func (s *server) getWatchEvents(w http.ResponseWriter, r *http.Request) error {
	from, err := strconv.ParseInt(cmp.Or(r.URL.Query().Get("from"), "1"), 10, 64)
	if err != nil {
		return spec.Errorf(spec.ErrInvalid, "cannot read events: bad number %q", r.URL.Query().Get("from"))
	}
	news, err := s.Watches.News(r.PathValue("name"))
	if err != nil {
		return err
	}
	return sendEvents(s, w, r, from, news.From, func(e event.Watch) int64 { return e.Sequence })
}
