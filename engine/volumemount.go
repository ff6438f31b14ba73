package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/volume"
)

// A volume that is a file system of its own is mounted on its folder, in the mount
// namespace of the daemon, for all containers that have it:
//
//	first start ─▶ mounted ─▶ each container gets a clone ─▶ last one released ─▶ unmounted
//	                  │
//	                  └─ an engine after a crash finds it there, and unmounts it if
//	                     no container is up that has it
//
// The mount outlives the daemon, so that its content, which may be in memory alone,
// is one for the containers of before a crash and of after it.

// volumeMounts has one lock for each volume that is being mounted or unmounted: a
// server that does not answer keeps nobody else waiting. What is locked here comes
// after life.turn and Engine.volumeTurn.
type volumeMounts struct {
	mu    sync.Mutex // guards what follows, for moments only
	turns map[string]*mountTurn
}

// mountTurn is held by the one that mounts or unmounts a volume.
type mountTurn struct {
	sync.Mutex
	users int // that hold it or wait for it
}

// lock returns how to unlock.
func (v *volumeMounts) lock(name string) func() {
	v.mu.Lock()
	turn := v.turns[name]
	if turn == nil {
		if v.turns == nil {
			v.turns = map[string]*mountTurn{}
		}
		turn = &mountTurn{}
		v.turns[name] = turn
	}
	turn.users++
	v.mu.Unlock()
	turn.Lock()
	return func() {
		turn.Unlock()
		v.mu.Lock()
		defer v.mu.Unlock()
		if turn.users--; turn.users == 0 {
			delete(v.turns, name)
		}
	}
}

// mountVolume mounts a volume that is a file system, unless it is mounted. The
// container that asks is held, so that nobody unmounts it.
func (e *Engine) mountVolume(name string, o spec.VolumeOptions) error {
	if o.Type == "" {
		return nil
	}
	defer e.volumeMounts.lock(name)()
	return e.mountLocked(name, o)
}

func (e *Engine) mountLocked(name string, o spec.VolumeOptions) error {
	dir := e.volumeDir(name)
	if on, err := volume.Mounted(dir); err != nil || on {
		return err
	}
	f := volume.FileSystem{Type: o.Type, Device: o.Device, Words: o.Words}
	var err error
	if f.Words, err = e.resolveServer(o); err != nil {
		return spec.Errorf(spec.ErrInvalid, "cannot mount volume %s: %v", name, err)
	}
	if err := volume.Mount(dir, f); err != nil {
		return err
	}
	e.log.Debug("volume is mounted", "volume", name, "type", o.Type)
	return nil
}

// resolveServer puts addresses in place of a server's name, which the kernel does
// not look up: in addr= of nfs and cifs, and for a cifs share without one.
func (e *Engine) resolveServer(o spec.VolumeOptions) ([]string, error) {
	if !slices.Contains([]string{"nfs", "nfs4", "cifs"}, o.Type) {
		return o.Words, nil
	}
	words := slices.Clone(o.Words)
	named := false
	for i, word := range words {
		key, server, _ := strings.Cut(word, "=")
		if key != "addr" && (key != "ip" || o.Type != "cifs") {
			continue
		}
		named = true
		address, err := e.resolveName(server)
		if err != nil {
			return nil, err
		}
		words[i] = key + "=" + address
	}
	if server := spec.CIFSServer(o.Device); o.Type == "cifs" && !named && server != "" {
		address, err := e.resolveName(server)
		if err != nil {
			return nil, err
		}
		words = append(words, "addr="+address)
	}
	return words, nil
}

func (e *Engine) resolveName(server string) (string, error) {
	if _, err := netip.ParseAddr(server); err == nil {
		return server, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(e.ctx, "ip", server)
	if err != nil {
		return "", fmt.Errorf("there is no address of the server %s (%v); correct addr or write an address", server, err)
	}
	for _, a := range addrs { // IPv4 first, as dockerd has it
		if a.Unmap().Is4() {
			return a.Unmap().String(), nil
		}
	}
	return addrs[0].String(), nil
}

// unmountVolumes unmounts those volumes of a container, which is not held any more,
// that no other one is up with.
func (e *Engine) unmountVolumes(l *life) error {
	var errs []error
	for _, m := range l.rec.Mounts {
		if m.Type != spec.MountVolume || e.volumeOptions(m.Source).Type == "" {
			continue
		}
		errs = append(errs, e.unmountUnused(m.Source))
	}
	return errors.Join(errs...)
}

// unmountUnused unmounts a volume unless a container is up with it.
func (e *Engine) unmountUnused(name string) error {
	defer e.volumeMounts.lock(name)()
	if e.volumeUsed(name, nil) {
		return nil
	}
	return volume.Unmount(e.volumeDir(name))
}

// collectMounts unmounts the volumes that an engine before us left mounted and that
// no container is up with.
func (e *Engine) collectMounts() error {
	if e.allReadable() != nil {
		return nil // one that we do not know may use some
	}
	e.mu.Lock()
	var names []string
	for name, v := range e.volumes {
		if o, _ := spec.ParseVolumeOptions(v.Options); o.Type != "" {
			names = append(names, name)
		}
	}
	e.mu.Unlock()
	var errs []error
	for _, name := range names {
		errs = append(errs, e.unmountUnused(name))
	}
	return errors.Join(errs...)
}

// openIdleVolume opens a volume for a container that does not run. A file system is
// mounted for that, and unmounted again if nobody else has it: what has been opened
// stays.
func (e *Engine) openIdleVolume(m spec.Mount) (*os.File, error) {
	o := e.volumeOptions(m.Source)
	if o.Type != "" {
		defer e.volumeMounts.lock(m.Source)()
		defer func() {
			if e.volumeUsed(m.Source, nil) {
				return
			}
			if err := volume.Unmount(e.volumeDir(m.Source)); err != nil {
				e.log.Error("volume stays mounted", "volume", m.Source, "err", err)
			}
		}()
		if err := e.mountLocked(m.Source, o); err != nil {
			return nil, err
		}
	}
	return volume.Open(e.volumeDir(m.Source), m.Subpath, volume.Options{})
}

// idleMounts are a container's mounts as they are to be seen while it does not run:
// a volume in memory is a tmpfs, whose content begins with a start.
func (e *Engine) idleMounts(l *life) []spec.Mount {
	mounts := slices.Clone(l.rec.Mounts)
	for i, m := range mounts {
		if m.Type == spec.MountVolume && e.volumeOptions(m.Source).InMemory() {
			mounts[i].Type = spec.MountTmpfs
		}
	}
	return mounts
}
