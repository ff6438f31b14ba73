package daemon

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/mycompose/mycompose/engine/folder"
)

// named keeps a name for the daemon's socket: who removes it from the run folder,
// as a cleaner may, would leave a daemon that nobody can reach.
//
//	listen ─▶ serve ─▶ name gone ─▶ listen anew ─▶ serve that one too ─▶ …
type named struct {
	path  string
	serve func(net.Listener) // returns at once
	log   *slog.Logger

	watch   *folder.NameWatch
	watched sync.WaitGroup
}

// keep watches the name that there is until close.
func (n *named) keep() (err error) {
	if n.watch, err = folder.NewNameWatch(); err != nil {
		return err
	}
	own, err := n.look()
	if errors.Is(err, fs.ErrNotExist) { // it is removed already
		own, err = n.anew()
	}
	if err != nil {
		n.close()
		return err
	}
	n.watched.Go(func() {
		for {
			if now, err := os.Lstat(n.path); err != nil || !os.SameFile(own, now) {
				if own, err = n.anew(); err != nil {
					n.log.Error("the daemon's socket has lost its name", "err", err)
					return // with the whole folder: the keeper sees to that
				}
				n.log.Warn("the daemon's socket was removed by somebody: it is there again", "path", n.path)
			}
			if !n.watch.Wait() {
				return
			}
		}
	})
	return nil
}

// anew makes another socket of that name, and serves it once it is watched: who
// removes it in between is seen.
func (n *named) anew() (own os.FileInfo, err error) {
	for {
		l, err := listen(n.path)
		if err != nil {
			return nil, err
		}
		own, err = n.look()
		if err == nil {
			n.serve(l)
			return own, nil
		}
		l.Close()
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// look begins to watch the name.
func (n *named) look() (os.FileInfo, error) {
	if err := n.watch.Add(n.path); err != nil {
		return nil, err
	}
	return os.Lstat(n.path)
}

// close ends keep. The socket keeps the name that it has.
func (n *named) close() {
	if n.watch != nil {
		n.watch.Close() // wakes who waits
	}
	n.watched.Wait()
}
