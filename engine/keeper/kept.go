package keeper

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/wire"
)

// kept are the descriptors that daemons gave.
type kept struct {
	mu    sync.Mutex // guards files
	files map[wire.KeeperSocket]*os.File
}

func newKept() *kept { return &kept{files: map[wire.KeeperSocket]*os.File{}} }

// keep takes over the files, in the order of the names.
func (k *kept) keep(in wire.KeeperSockets, files []*os.File) error {
	if len(in.Sockets) != len(files) {
		closeFiles(files)
		return fmt.Errorf("cannot keep sockets: %d names for %d descriptors", len(in.Sockets), len(files))
	}
	fault.Point("keeper:keep")
	defer fault.Point("keeper:kept")
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, name := range in.Sockets {
		if old := k.files[name]; old != nil {
			old.Close()
		}
		k.files[name] = files[i]
	}
	return nil
}

func (k *kept) drop(in wire.KeeperDropRequest) {
	fault.Point("keeper:drop")
	defer fault.Point("keeper:dropped")
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, file := range k.files {
		if slices.Contains(in.Containers, name.Container) || slices.Contains(in.Sockets, name) {
			file.Close()
			delete(k.files, name)
		}
	}
}

// list duplicates a page of what is kept.
func (k *kept) list(in wire.KeeperListRequest) (wire.KeeperSockets, []*os.File, error) {
	fault.Point("keeper:list")
	k.mu.Lock()
	defer k.mu.Unlock()
	names := page(k.files, in.After)
	answer := wire.KeeperSockets{Sockets: names}
	if len(names) > wire.MaxFiles {
		answer = wire.KeeperSockets{Sockets: names[:wire.MaxFiles], More: true}
	}
	files := make([]*os.File, 0, len(answer.Sockets))
	for _, name := range answer.Sockets {
		file, err := duplicate(k.files[name])
		if err != nil {
			closeFiles(files)
			return wire.KeeperSockets{}, nil, err
		}
		files = append(files, file)
	}
	return answer, files, nil
}

// page returns the names after one, in order of container and name. They are
// sorted as strings, which others do here too: sorting by a function is
// compiled once more for each type, and this program is to be small.
func page(files map[wire.KeeperSocket]*os.File, after *wire.KeeperSocket) []wire.KeeperSocket {
	const between = "\x00" // in no name, and before all else
	var keys []string
	for name := range files {
		key := name.Container + between + name.Name
		if after == nil || key > after.Container+between+after.Name {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	names := make([]wire.KeeperSocket, len(keys))
	for i, key := range keys {
		names[i].Container, names[i].Name, _ = strings.Cut(key, between)
	}
	return names
}

func (k *kept) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.files)
}

func (k *kept) closeAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, file := range k.files {
		file.Close()
		delete(k.files, name)
	}
}

func closeFiles(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}
