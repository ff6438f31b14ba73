package daemon

import (
	"net/http"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

func (s *server) inspectImage(w http.ResponseWriter, r *http.Request) error {
	details, err := s.Shelf.InspectImage(r.Context(), r.URL.Query().Get("image"))
	if err != nil {
		return err
	}
	return answer(w, details)
}

func (s *server) tagImage(w http.ResponseWriter, r *http.Request) error {
	var request client.TagRequest
	if err := decode(r, &request); err != nil {
		return err
	}
	if err := s.Shelf.TagImage(r.Context(), request.Image, request.Name); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func (s *server) pruneImages(w http.ResponseWriter, r *http.Request) error {
	var request spec.Prune
	if err := decode(r, &request); err != nil {
		return err
	}
	pruned, err := s.Shelf.PruneImages(r.Context(), request)
	if err != nil {
		return err
	}
	return answer(w, pruned)
}

func (s *server) removeImage(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	deleted, err := s.Shelf.DeleteImage(r.Context(), query.Get("reference"), query.Get("force") == "true")
	if err != nil {
		return err
	}
	return answer(w, deleted)
}
