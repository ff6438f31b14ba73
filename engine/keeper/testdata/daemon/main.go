// Command daemon stands for mycompose in tests: it holds the daemon's lock and
// does nothing until SIGTERM. Having the lock, it writes which build it is.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"

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
			err = tell(place)
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

// tell writes the build's version into the file version-PID, whole or not at all.
func tell(place folder.Place) error {
	path := filepath.Join(place.State, "version-"+strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(path+".new", []byte(version), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
