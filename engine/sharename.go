package engine

import (
	"strings"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
)

// networkOwner is the container whose network l shares, itself or by way of
// others; nil if it has its own or the owner is gone.
func (e *Engine) networkOwner(l *life) *life {
	var owner *life
	for seen := map[*life]bool{l: true}; ; seen[l] = true {
		word, shares := strings.CutPrefix(l.rec.Blueprint.NetworkMode, modeContainer)
		if !shares {
			return owner
		}
		found, err := e.Find(word)
		if err != nil {
			return nil
		}
		if l, err = e.life(found.Blueprint.ID); err != nil || seen[l] {
			return nil
		}
		owner = l
	}
}

// named gives a blueprint that shares a network and names no host the names of
// the network's owner, as dockerd does: programs look themselves up by it.
func (e *Engine) named(b spec.Blueprint) spec.Blueprint {
	if b.Hostname != "" || !strings.HasPrefix(b.NetworkMode, modeContainer) {
		return b
	}
	l, err := e.life(b.ID)
	if err != nil {
		return b
	}
	if o := e.networkOwner(l); o != nil {
		b.Hostname = container.Hostname(o.rec.blueprint())
		if b.Domainname == "" {
			b.Domainname = o.rec.Blueprint.Domainname
		}
	}
	return b
}
