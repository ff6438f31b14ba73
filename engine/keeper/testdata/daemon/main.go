// Command daemon stands for mycompose in tests: it holds the daemon's lock and
// does nothing until SIGTERM. Its VERSION variable is written at start.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
)

// version is set by the linker: two builds differ.
var version = "one"

func main() {
	if version == "bad" {
		os.Exit(1)
	}
	place, err := folder.Inherited()
	if err == nil {
		var lock *folder.Lock
		if lock, err = folder.TakeDaemonLock(place); err == nil {
			defer lock.Unlock()
			err = os.WriteFile(filepath.Join(place.State, "version"), []byte(version), 0o600)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM)
	<-end
}
