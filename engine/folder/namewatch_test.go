package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/folder"
)

func TestANameThatIsTakenAwayIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "name")
	for name, take := range map[string]func() error{
		"removed":  func() error { return os.Remove(path) },
		"moved":    func() error { return os.Rename(path, path+".away") },
		"replaced": func() error { return errors.Join(os.WriteFile(path+".new", nil, 0o600), os.Rename(path+".new", path)) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			own, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			w, err := folder.NewNameWatch()
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Add(path); err != nil {
				t.Fatal(err)
			}
			gone := make(chan bool)
			go func() {
				for w.Wait() {
					if now, err := os.Lstat(path); err != nil || !os.SameFile(own, now) {
						gone <- true
					}
				}
				close(gone)
			}()
			if err := take(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-gone:
			case <-time.After(time.Minute):
				t.Error("not seen")
			}
			go func() {
				for range gone { // further looks
				}
			}()
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAWatchOfNothing(t *testing.T) {
	var none *folder.NameWatch
	if err := none.Close(); err != nil {
		t.Error(err)
	}
	w, err := folder.NewNameWatch()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	waited := make(chan bool)
	go func() { waited <- w.Wait() }()
	w.Close()
	if <-waited {
		t.Error("a closed watch tells to look")
	}
}
