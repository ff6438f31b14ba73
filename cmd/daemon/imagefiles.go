package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/spec"
)

// Importer takes images out of files; the engine does.
type Importer interface {
	ImportImage(ctx context.Context, reference, platform string, tar *os.File, progress func(spec.Progress)) (spec.Image, error)
	LoadImages(ctx context.Context, platform string, archive *os.File, progress func(spec.Progress)) ([]spec.Image, error)
	SaveImages(ctx context.Context, words []string, to *os.File) error
}

// imageFiles carries out `image import`, `image load` and `image save`.
type imageFiles struct{ importer Importer }

func (i imageFiles) run(ctx context.Context, w Work, emit func(event.Event)) event.Result {
	var request client.ImageFileRequest
	if err := json.Unmarshal(w.Request, &request); err != nil {
		return Failed(spec.Errorf(spec.ErrInvalid, "cannot read request of %s: %v", w.Kind, err))
	}
	if w.DryRun {
		return Failed(spec.Errorf(spec.ErrUnsupported, "not built yet: %s --dry-run", w.Kind))
	}
	if w.Kind == client.ImageSave {
		return i.save(ctx, request, emit)
	}
	f, err := os.Open(request.Path)
	if err != nil {
		return Failed(fmt.Errorf("cannot read the archive: %w", err))
	}
	defer f.Close()
	if w.Kind == client.ImageLoad {
		return i.load(ctx, f, request, emit)
	}
	if err := required(request.Name, "name"); err != nil {
		return Failed(err)
	}
	id := "Image " + request.Name
	emit(event.Event{ID: id, Status: event.Working, Text: "Importing"})
	if _, err := i.importer.ImportImage(ctx, request.Name, "", f, shower(id, emit)); err != nil {
		emit(event.Event{ID: id, Status: event.Error, Text: "Error", Details: err.Error()})
		return canceledOr(ctx, fmt.Errorf("cannot import %s: %w", request.Name, err))
	}
	emit(event.Event{ID: id, Status: event.Done, Text: "Imported"})
	return event.Result{}
}

func (i imageFiles) load(ctx context.Context, f *os.File, request client.ImageFileRequest, emit func(event.Event)) event.Result {
	from := cmp.Or(request.Name, request.Path)
	id := "Archive " + from
	emit(event.Event{ID: id, Status: event.Working, Text: "Loading"})
	images, err := i.importer.LoadImages(ctx, "", f, shower(id, emit))
	var said []string // as docker load says it
	for _, image := range images {
		for _, name := range image.Names {
			emit(event.Event{ID: "Image " + name, Status: event.Done, Text: "Loaded"})
			said = append(said, "Loaded image: "+name)
		}
		if len(image.Names) == 0 {
			said = append(said, "Loaded image ID: "+image.Extra["configDigest"])
		}
	}
	if err != nil {
		emit(event.Event{ID: id, Status: event.Error, Text: "Error", Details: err.Error()})
		return canceledOr(ctx, fmt.Errorf("cannot load %s: %w", from, err))
	}
	emit(event.Event{ID: id, Status: event.Done, Text: "Loaded"})
	return event.Result{Output: strings.Join(said, "\n")}
}

// save writes into a file that the client has made.
func (i imageFiles) save(ctx context.Context, request client.ImageFileRequest, emit func(event.Event)) event.Result {
	f, err := os.OpenFile(request.Path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return Failed(fmt.Errorf("cannot write the archive: %w", err))
	}
	id := "Archive " + cmp.Or(request.Name, request.Path)
	emit(event.Event{ID: id, Status: event.Working, Text: "Saving"})
	err = i.importer.SaveImages(ctx, request.Images, f)
	if err = errors.Join(err, f.Close()); err != nil {
		emit(event.Event{ID: id, Status: event.Error, Text: "Error", Details: err.Error()})
		return canceledOr(ctx, err)
	}
	emit(event.Event{ID: id, Status: event.Done, Text: "Saved"})
	return event.Result{}
}

// shower tells progress below a parent.
func shower(parent string, emit func(event.Event)) func(spec.Progress) {
	return func(p spec.Progress) {
		status := event.Working
		if p.Done {
			status = event.Done
		}
		emit(event.Event{ID: p.ID, ParentID: parent, Status: status, Text: p.Text, Current: p.Current, Total: p.Total})
	}
}

// canceledOr is Failed, unless the operation was cancelled.
func canceledOr(ctx context.Context, err error) event.Result {
	r := Failed(err)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		r.Error = context.Cause(ctx).Error()
	}
	return r
}
