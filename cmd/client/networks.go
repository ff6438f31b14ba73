package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// NetworkPrune says which unused networks go.
type NetworkPrune struct {
	// Project and Labels (name to value, "" is any) limit it; Before is the
	// newest time of creation, zero for all.
	Project string            `json:"project,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	// NotLabels are labels of networks that stay.
	NotLabels map[string]string `json:"notLabels,omitempty"`
	Before    time.Time         `json:"before,omitzero"`
}

// Match reports whether a network may go.
func (p NetworkPrune) Match(n spec.Network) bool {
	if p.Project != "" && n.Project != p.Project || !p.Before.IsZero() && n.CreatedAt.After(p.Before) {
		return false
	}
	for label, value := range p.Labels {
		if !HasLabel(n.Labels, label, value) {
			return false
		}
	}
	for label, value := range p.NotLabels {
		if HasLabel(n.Labels, label, value) {
			return false
		}
	}
	return true
}

// HasLabel reports whether labels hold one, with that value if it is not "".
func HasLabel(labels map[string]string, label, value string) bool {
	got, ok := labels[label]
	return ok && (value == "" || got == value)
}

// NetworkConnect joins a container, by name or id, to a network.
type NetworkConnect struct {
	Container  string          `json:"container"`
	Attachment spec.Attachment `json:"attachment"`
}

// NetworkDisconnect is its inverse. Force takes a missing one as success.
type NetworkDisconnect struct {
	Container string `json:"container"`
	Network   string `json:"network"`
	Force     bool   `json:"force,omitempty"`
}

// Networks lists all networks.
func (c *Client) Networks(ctx context.Context) ([]spec.Network, error) {
	var out []spec.Network
	err := c.call(ctx, http.MethodGet, "/networks", nil, nil, &out)
	return out, err
}

// CreateNetwork makes a network; spec.ErrConflict if there is one of that name.
func (c *Client) CreateNetwork(ctx context.Context, n spec.Network) (spec.Network, error) {
	var out spec.Network
	err := c.call(ctx, http.MethodPost, "/networks", nil, n, &out)
	return out, err
}

// Network finds one by name, id or the beginning of its id.
func (c *Client) Network(ctx context.Context, word string) (spec.NetworkDetails, error) {
	var out spec.NetworkDetails
	err := c.call(ctx, http.MethodGet, "/networks/details", url.Values{"name": {word}}, nil, &out)
	return out, err
}

// RemoveNetwork removes a network that no container is on.
func (c *Client) RemoveNetwork(ctx context.Context, word string) error {
	return c.call(ctx, http.MethodDelete, "/networks", url.Values{"name": {word}}, nil, nil)
}

// PruneNetworks removes unused networks and returns their names.
func (c *Client) PruneNetworks(ctx context.Context, p NetworkPrune) ([]string, error) {
	var out []string
	err := c.call(ctx, http.MethodPost, "/networks/prune", nil, p, &out)
	return out, err
}

// ConnectNetwork joins a container to a network.
func (c *Client) ConnectNetwork(ctx context.Context, r NetworkConnect) error {
	return c.call(ctx, http.MethodPost, "/networks/connect", nil, r, nil)
}

// DisconnectNetwork takes a container from a network.
func (c *Client) DisconnectNetwork(ctx context.Context, r NetworkDisconnect) error {
	return c.call(ctx, http.MethodPost, "/networks/disconnect", nil, r, nil)
}
