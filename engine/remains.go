package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/volume"
)

// PruneRemains removes what was set aside because it was damaged, and with what
// was left of a container all that is in its folder. It returns their paths.
//
// A volume's remains stay as long as it has content and no object: they keep it
// from being taken for half a removal.
func (e *Engine) PruneRemains(context.Context) ([]string, error) {
	var gone []string
	var errs []error
	for _, path := range e.store.Remains() {
		dir := filepath.Dir(path)
		switch in, err := filepath.Rel(e.place.State, filepath.Dir(dir)); {
		case err != nil:
			errs = append(errs, err)
			continue
		case in == store.Volume.Folder && missing(filepath.Join(dir, store.Volume.File)) && !missing(volume.Data(dir)):
			continue
		case in == store.Container.Folder && missing(filepath.Join(dir, store.Container.File)):
			errs = append(errs, os.RemoveAll(dir))
		default:
			errs = append(errs, os.RemoveAll(path), removeEmpty(dir, in))
		}
		if missing(path) {
			gone = append(gone, path)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return gone, fmt.Errorf("cannot remove all that was set aside: %w", err)
	}
	return gone, nil
}

// allReadable fails if there is a container that is not known, or known in part:
// its record is damaged, or a newer mycompose's.
func (e *Engine) allReadable() error {
	for _, l := range e.all() {
		if l.newer != nil {
			return fmt.Errorf("container %s may use some: %w", l.name(), l.newer)
		}
	}
	for _, path := range e.store.Remains() {
		dir := filepath.Dir(path)
		if filepath.Base(filepath.Dir(dir)) == store.Container.Folder && missing(filepath.Join(dir, store.Container.File)) {
			return spec.Errorf(spec.ErrConflict, "container %s was damaged and may have used some: "+
				"look at what is in them, then `mycompose system prune` forgets the container", short(filepath.Base(dir)))
		}
	}
	return nil
}

// removeEmpty removes the folder of an object that is gone.
func removeEmpty(dir, in string) error {
	if !slices.Contains([]string{store.Network.Folder, store.Volume.Folder, store.Project.Folder}, in) {
		return nil
	}
	if err := os.Remove(dir); !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return nil
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}
