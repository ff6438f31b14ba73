package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/store"
)

// eventsSuffix ends the name of the file of an operation's events.
const eventsSuffix = ".events"

// noProject is the folder of operations that write no project.
const noProject = "_"

// records keeps operations on disk. They survive the daemon; a power failure
// only as far as what they did survives it: saving a project makes its
// operation durable, and the result is durable before anybody hears of it (not so
// that of a restart by a watch, which changes nothing that lasts).
//
//	put ──▶ ID.json, ID.events ──▶ events … result ──▶ settle ──▶ told
//	remove: ID.json is renamed over ID.events, which is removed: at no moment,
//	        and in no order in which these reach the disk, is there an
//	        operation without its events
type records struct{ store *store.Store }

func projectFolder(project string) string {
	if project == "" {
		return noProject
	}
	return project
}

func (r records) eventsPath(op client.Operation) string {
	return filepath.Join(r.store.State, "projects", projectFolder(op.Project), "operations", op.ID+eventsSuffix)
}

// put keeps a request and opens the file for its events.
func (r records) put(op client.Operation) (*os.File, error) {
	if err := r.store.Put(store.Operation(projectFolder(op.Project)), op.ID, op, store.Volatile); err != nil {
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
	events := r.eventsPath(op)
	object := strings.TrimSuffix(events, eventsSuffix) + ".json"
	for _, err := range []error{os.Rename(object, events), os.Remove(events)} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot forget operation %s: %w", op.ID, err)
		}
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
	op client.Operation
	// result is the last event of one that has ended; nil of another.
	result *event.Event
	// events are those of one that has not ended: of the others they are read when
	// somebody asks, since a start of the daemon waits for this.
	events []event.Event
}

// hasBegun reports whether it has told anything but that it waits.
func (f recorded) hasBegun() bool {
	if f.result != nil {
		return !f.op.DryRun
	}
	return slices.ContainsFunc(f.events, func(e event.Event) bool {
		return !f.op.DryRun && !strings.HasPrefix(e.ID, waitingID)
	})
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
		wrong = append(wrong, err, r.sweep(dir.Name()))
		for _, op := range ops {
			found, err := r.read(op)
			wrong = append(wrong, err)
			out = append(out, found)
		}
	}
	return out, errors.Join(wrong...)
}

// sweep removes what a stop in the middle of remove left: events without an
// operation, also without a damaged one or one of a newer mycompose.
func (r records) sweep(project string) error {
	dir := filepath.Join(r.store.State, "projects", project, "operations")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	there := map[string]bool{}
	for _, entry := range entries {
		id, _, _ := strings.Cut(entry.Name(), ".")
		there[id] = there[id] || !strings.HasSuffix(entry.Name(), eventsSuffix)
	}
	for id, kept := range there {
		if !kept {
			errs = append(errs, os.Remove(filepath.Join(dir, id+eventsSuffix)))
		}
	}
	return errors.Join(errs...)
}

// read reads what is to be known of an operation and cuts a torn last line off.
func (r records) read(op client.Operation) (recorded, error) {
	data, err := r.lines(op)
	if err != nil {
		return recorded{op: op}, err
	}
	if last, ended := resultOf(data); ended {
		return recorded{op: op, result: &last}, nil
	}
	events, good := parseEvents(data)
	if good < len(data) {
		if err := os.Truncate(r.eventsPath(op), int64(good)); err != nil {
			return recorded{op: op}, fmt.Errorf("cannot mend events of operation %s: %w", op.ID, err)
		}
	}
	return recorded{op: op, events: events}, nil
}

// lines returns the file of an operation's events; a missing one is empty.
func (r records) lines(op client.Operation) ([]byte, error) {
	data, err := os.ReadFile(r.eventsPath(op))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read events of operation %s: %w", op.ID, err)
	}
	return data, nil
}

// resultOf parses the last line alone. It is a result only if no line is missing
// before it.
func resultOf(lines []byte) (last event.Event, ended bool) {
	body, whole := bytes.CutSuffix(lines, []byte("\n"))
	line := body[bytes.LastIndexByte(body, '\n')+1:]
	ended = whole && json.Unmarshal(line, &last) == nil && last.Kind == event.KindResult && last.Result != nil &&
		last.Sequence == int64(bytes.Count(lines, []byte("\n")))
	return last, ended
}

// parseEvents parses whole lines, up to the first that is torn or missing; good is
// their length in bytes.
func parseEvents(lines []byte) (events []event.Event, good int) {
	for line := range bytes.Lines(lines) {
		var e event.Event
		if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &e) != nil || e.Sequence != int64(len(events))+1 {
			break
		}
		events = append(events, e)
		good += len(line)
	}
	return events, good
}
