package engine

import (
	"context"
	"fmt"

	"github.com/mycompose/mycompose/engine/spec"
)

// joinedBridge is the network that a container is to join. The shared one is
// made when it is missing: its last container may have gone, and it with that,
// since a plan found it. turn is held.
func (e *Engine) joinedBridge(name string) (*bridge, error) {
	b := e.bridge(name)
	if b == nil && name == spec.SharedNetworkName {
		if _, err := e.CreateNetwork(e.ctx, spec.SharedNetwork()); err != nil {
			return nil, err
		}
		b = e.bridge(name)
	}
	if b == nil {
		return nil, spec.Errorf(spec.ErrNotFound, "no network %s", name)
	}
	return b, nil
}

// dropShared removes the shared network, if it was made for its containers and
// no container that is left would join it.
func (e *Engine) dropShared(ctx context.Context) error {
	b := e.bridge(spec.SharedNetworkName)
	if b == nil || !b.rec.Network.GoesWithLast() || b.newer != nil {
		return nil
	}
	for _, l := range e.all() {
		for _, a := range l.attachments() {
			if a.Network == spec.SharedNetworkName {
				return nil
			}
		}
	}
	if err := e.RemoveNetwork(ctx, spec.SharedNetworkName); err != nil {
		return fmt.Errorf("the last container of network %s is gone: %w", spec.SharedNetworkName, err)
	}
	return nil
}
