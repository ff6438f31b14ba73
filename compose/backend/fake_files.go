package backend

import (
	"context"
	"os"
	"path/filepath"

	"github.com/mycompose/mycompose/engine/spec"
)

// SyncFiles implements Files: a file's content, "link:" and where it leads, or
// "folder" is kept by its target.
func (f *Fake) SyncFiles(ctx context.Context, id string, changes []spec.FileChange) ([]spec.FileResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.containers[id]
	if !ok {
		return nil, spec.Errorf(spec.ErrNotFound, "no container %s", id)
	}
	if err := f.beginLocked(ctx, "sync", c.Blueprint.Name); err != nil {
		return nil, err
	}
	if f.files == nil {
		f.files = map[string]map[string]string{}
	}
	if f.files[id] == nil {
		f.files[id] = map[string]string{}
	}
	results := make([]spec.FileResult, len(changes))
	for i, change := range changes {
		results[i] = syncOne(f.files[id], change)
	}
	return results, nil
}

func syncOne(files map[string]string, change spec.FileChange) spec.FileResult {
	old, there := files[change.Target]
	if change.Remove {
		delete(files, change.Target)
		return spec.FileResult{Changed: there}
	}
	path := filepath.Join(change.Root, change.Path)
	info, err := os.Lstat(path)
	if err != nil {
		return spec.FileResult{Gone: true}
	}
	now := "folder"
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		leads, err := os.Readlink(path)
		if err != nil {
			return spec.FileResult{Error: err.Error()}
		}
		now = "link:" + leads
	case !info.IsDir():
		content, err := os.ReadFile(path)
		if err != nil {
			return spec.FileResult{Error: err.Error()}
		}
		now = string(content)
	}
	files[change.Target] = now
	return spec.FileResult{Changed: !there || !change.Compare || old != now}
}

// Files returns what was put into a container, by target.
func (f *Fake) Files(id string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]string{}
	for target, content := range f.files[id] {
		out[target] = content
	}
	return out
}
