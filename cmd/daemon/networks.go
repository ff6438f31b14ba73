package daemon

import (
	"errors"
	"net/http"
	"slices"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

func (s *server) getNetworks(w http.ResponseWriter, r *http.Request) error {
	networks, err := s.Things.Networks(r.Context())
	if err != nil {
		return err
	}
	return answer(w, networks)
}

// createNetwork refuses a name that is taken, whatever the network there is: the
// engine would take an equal one as success, a person has mistyped it.
func (s *server) createNetwork(w http.ResponseWriter, r *http.Request) error {
	var n spec.Network
	if err := decode(r, &n); err != nil {
		return err
	}
	all, err := s.Things.Networks(r.Context())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(other spec.Network) bool { return other.Name == n.Name }) {
		return spec.Errorf(spec.ErrConflict, "network with name %s already exists", n.Name)
	}
	made, err := s.Things.CreateNetwork(r.Context(), n)
	if err != nil {
		return err
	}
	return answer(w, made)
}

func (s *server) getNetwork(w http.ResponseWriter, r *http.Request) error {
	details, err := s.Things.InspectNetwork(r.Context(), r.URL.Query().Get("name"))
	if err != nil {
		return err
	}
	return answer(w, details)
}

func (s *server) removeNetwork(w http.ResponseWriter, r *http.Request) error {
	n, err := s.Things.FindNetwork(r.URL.Query().Get("name"))
	if err != nil {
		return err
	}
	if err := s.Things.RemoveNetwork(r.Context(), n.Name); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func (s *server) pruneNetworks(w http.ResponseWriter, r *http.Request) error {
	var request client.NetworkPrune
	if err := decode(r, &request); err != nil {
		return err
	}
	gone, err := s.Things.PruneNetworks(r.Context(), request.Match)
	if err != nil {
		return err
	}
	return answer(w, gone)
}

func (s *server) connectNetwork(w http.ResponseWriter, r *http.Request) error {
	var request client.NetworkConnect
	if err := decode(r, &request); err != nil {
		return err
	}
	if err := s.Things.ConnectNetwork(r.Context(), request.Container, request.Attachment); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

// disconnectNetwork takes a container that is gone for success if asked to.
func (s *server) disconnectNetwork(w http.ResponseWriter, r *http.Request) error {
	var request client.NetworkDisconnect
	if err := decode(r, &request); err != nil {
		return err
	}
	err := s.Things.DisconnectNetwork(r.Context(), request.Container, request.Network)
	if err != nil && !(request.Force && errors.Is(err, spec.ErrNotFound)) {
		return err
	}
	return answer(w, struct{}{})
}
