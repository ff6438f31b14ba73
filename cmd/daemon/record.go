package daemon

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/store"
)

// noProject is the folder of operations that write no project.
const noProject = "_"

// records keeps operations on disk. Nothing is synced: an operation must
// survive the daemon, and after a power failure the project's kept state counts.
type records struct{ store *store.Store }

func projectFolder(project string) string {
	if project == "" {
		return noProject
	}
	return project
}

func (r records) eventsPath(op client.Operation) string {
	return filepath.Join(r.store.State, "projects", projectFolder(op.Project), "operations", op.ID+".events")
}

// put keeps a request and opens the file for its events.
func (r records) put(op client.Operation) (*os.File, error) {
	if err := r.store.Put(store.Operation(projectFolder(op.Project)), op.ID, op, store.Cached); err != nil {
		return nil, err
	}
	return r.open(op)
}

func (r records) open(op client.Operation) (*os.File, error) {
	f, err := os.OpenFile(r.eventsPath(op), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open events of operation %s: %w", op.ID, err)
	}
	return f, nil
}

// remove forgets an operation; a missing one is success.
func (r records) remove(op client.Operation) error {
	err := os.Remove(r.eventsPath(op))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err := errors.Join(err, r.store.Delete(store.Operation(projectFolder(op.Project)), op.ID)); err != nil {
		return fmt.Errorf("cannot forget operation %s: %w", op.ID, err)
	}
	// The folders go with the last operation, unless the project is kept.
	dir := filepath.Dir(r.eventsPath(op))
	if os.Remove(dir) == nil {
		_ = os.Remove(filepath.Dir(dir)) // not empty: kept
	}
	return nil
}

// recorded is an operation as it was found on disk.
type recorded struct {
	op     client.Operation
	events []event.Event
}

// all reads every operation. What cannot be read is left out and joined into
// the error.
func (r records) all() ([]recorded, error) {
	dirs, err := os.ReadDir(filepath.Join(r.store.State, "projects"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list operations: %w", err)
	}
	var out []recorded
	var wrong []error
	for _, dir := range dirs {
		ops, err := store.Load[client.Operation](r.store, store.Operation(dir.Name()))
		wrong = append(wrong, err)
		for _, op := range ops {
			events, err := r.events(op)
			wrong = append(wrong, err)
			out = append(out, recorded{op, events})
		}
	}
	return out, errors.Join(wrong...)
}

// events reads the events of an operation and cuts off a torn last line.
func (r records) events(op client.Operation) ([]event.Event, error) {
	path := r.eventsPath(op)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read events of operation %s: %w", op.ID, err)
	}
	var out []event.Event
	good := 0
	for lines := bufio.NewReader(bytes.NewReader(data)); ; {
		line, err := lines.ReadBytes('\n')
		var e event.Event
		if err != nil || json.Unmarshal(line, &e) != nil || e.Sequence != int64(len(out))+1 {
			break
		}
		out = append(out, e)
		good += len(line)
	}
	if good < len(data) {
		if err := os.Truncate(path, int64(good)); err != nil {
			return nil, fmt.Errorf("cannot mend events of operation %s: %w", op.ID, err)
		}
	}
	return out, nil
}
