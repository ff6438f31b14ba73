package daemon

import (
	"context"

	"github.com/mycompose/mycompose/engine/spec"
)

// The fake has no networks: each is missing.

func noNetwork(name string) error { return spec.Errorf(spec.ErrNotFound, "network %s not found", name) }

func (m *machine) Networks(context.Context) ([]spec.Network, error) { return nil, nil }
func (m *machine) CreateNetwork(_ context.Context, n spec.Network) (spec.Network, error) {
	return n, nil
}
func (m *machine) RemoveNetwork(context.Context, string) error { return nil }
func (m *machine) FindNetwork(word string) (spec.Network, error) {
	return spec.Network{}, noNetwork(word)
}
func (m *machine) InspectNetwork(_ context.Context, word string) (spec.NetworkDetails, error) {
	return spec.NetworkDetails{}, noNetwork(word)
}
func (m *machine) PruneNetworks(context.Context, func(spec.Network) bool) ([]string, error) {
	return nil, nil
}
func (m *machine) ConnectNetwork(_ context.Context, _ string, a spec.Attachment) error {
	return noNetwork(a.Network)
}
func (m *machine) DisconnectNetwork(_ context.Context, _, name string) error { return noNetwork(name) }
