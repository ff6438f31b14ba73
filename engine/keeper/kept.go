package keeper

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

// kept are the descriptors that daemons gave. They are numbers: an os.File of a
// socket is watched for what arrives there (epoll(7)), and each packet for the
// daemon would wake the keeper too.
type kept struct {
	mu  sync.Mutex // guards fds
	fds map[wire.KeeperSocket]int
}

func newKept() *kept { return &kept{fds: map[wire.KeeperSocket]int{}} }

// keep takes over the files, in the order of the names.
func (k *kept) keep(in wire.KeeperSockets, files []*os.File) error {
	if len(in.Sockets) != len(files) {
		closeFiles(files)
		return fmt.Errorf("cannot keep sockets: %d names for %d descriptors", len(in.Sockets), len(files))
	}
	fault.Point("keeper:keep")
	defer fault.Point("keeper:kept")
	defer closeFiles(files)
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, name := range in.Sockets {
		fd, err := wire.DuplicateFD(files[i])
		if err != nil {
			return err // what was kept before it is dropped with its container
		}
		if old, there := k.fds[name]; there {
			unix.Close(old)
		}
		k.fds[name] = fd
	}
	return nil
}

func (k *kept) drop(in wire.KeeperDropRequest) {
	fault.Point("keeper:drop")
	defer fault.Point("keeper:dropped")
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, fd := range k.fds {
		if slices.Contains(in.Containers, name.Container) || slices.Contains(in.Sockets, name) {
			unix.Close(fd)
			delete(k.fds, name)
		}
	}
}

// list duplicates a page of what is kept.
func (k *kept) list(in wire.KeeperListRequest) (wire.KeeperSockets, []*os.File, error) {
	fault.Point("keeper:list")
	k.mu.Lock()
	defer k.mu.Unlock()
	names := page(k.fds, in.After)
	answer := wire.KeeperSockets{Sockets: names}
	if len(names) > wire.MaxFiles {
		answer = wire.KeeperSockets{Sockets: names[:wire.MaxFiles], More: true}
	}
	files := make([]*os.File, 0, len(answer.Sockets))
	for _, name := range answer.Sockets {
		fd, err := unix.FcntlInt(uintptr(k.fds[name]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			closeFiles(files)
			return wire.KeeperSockets{}, nil, fmt.Errorf("cannot pass %s: %w", name.Name, err)
		}
		files = append(files, os.NewFile(uintptr(fd), name.Name))
	}
	return answer, files, nil
}

// page returns the names after one, in order of container and name.
func page(fds map[wire.KeeperSocket]int, after *wire.KeeperSocket) []wire.KeeperSocket {
	const between = "\x00" // in no name, and before all else
	var keys []string
	for name := range fds {
		key := name.Container + between + name.Name
		if after == nil || key > after.Container+between+after.Name {
			keys = append(keys, key)
		}
	}
	folder.SortNames(keys)
	names := make([]wire.KeeperSocket, len(keys))
	for i, key := range keys {
		names[i].Container, names[i].Name, _ = strings.Cut(key, between)
	}
	return names
}

func (k *kept) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.fds)
}

func (k *kept) closeAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, fd := range k.fds {
		unix.Close(fd)
		delete(k.fds, name)
	}
}

func closeFiles(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}
