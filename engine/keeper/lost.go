package keeper

import (
	"os"

	"github.com/mycompose/mycompose/engine/folder"
)

// watchLock calls lost once path does not name the lock file any more, which is
// held and so is never removed by one of ours. It ends with the watch that it
// returns, which the caller closes.
func watchLock(lock *os.File, path string, lost func()) (*folder.NameWatch, error) {
	return watchName(path, func() bool { return folder.IsAt(lock, path) }, lost)
}

// watchSocket does so for the socket that path names now: without its name nobody
// reaches the keeper.
func watchSocket(path string, lost func()) (*folder.NameWatch, error) {
	own, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	return watchName(path, func() bool {
		now, err := os.Lstat(path)
		return err == nil && os.SameFile(own, now)
	}, lost)
}

// watchName calls lost once path is not ours.
func watchName(path string, ours func() bool, lost func()) (*folder.NameWatch, error) {
	watch, err := folder.NewNameWatch()
	if err != nil {
		return nil, err
	}
	if err := watch.Add(path); err != nil {
		watch.Close()
		return nil, err
	}
	go func() { // ends with the watch
		for ours() {
			if !watch.Wait() {
				return
			}
		}
		lost()
	}()
	return watch, nil
}
