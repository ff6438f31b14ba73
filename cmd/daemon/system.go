package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

func (s *server) getInfo(w http.ResponseWriter, r *http.Request) error {
	containers, err := s.Containers.Containers(r.Context(), "")
	if err != nil {
		return err
	}
	info := s.info
	info.Containers = map[spec.State]int{}
	for _, c := range containers {
		info.Containers[c.Status.State]++
	}
	info.Features = s.Host.Features(r.Context())
	info.Operations = s.operations.atWork()
	info.Syncs, info.Notices = s.objects.Syncs(), s.objects.Notices()
	info.Goroutines = runtime.NumGoroutine()
	return answer(w, info)
}

// pruneSystem removes what was set aside.
func (s *server) pruneSystem(w http.ResponseWriter, r *http.Request) error {
	gone, err := s.Host.PruneRemains(r.Context())
	if err != nil {
		return err
	}
	return answer(w, client.SystemPruneAnswer{Removed: gone})
}

// stopSystem prepares the end: it refuses while containers run, or stops them.
// The client then ends the keeper, which ends this daemon.
func (s *server) stopSystem(w http.ResponseWriter, r *http.Request) error {
	var how client.SystemStop
	if err := decode(r, &how); err != nil {
		return err
	}
	containers, err := s.Containers.Containers(r.Context(), "")
	if err != nil {
		return err
	}
	var up []spec.Container
	var names []string
	for _, c := range containers {
		if c.Status.Up() {
			up = append(up, c)
			names = append(names, c.Blueprint.Name)
		}
	}
	switch {
	case how.All:
		if err := s.stopAll(r.Context(), up); err != nil {
			return err
		}
	case len(up) > 0 && !how.Keep:
		return answer(w, client.SystemStopAnswer{Running: names})
	}
	out := client.SystemStopAnswer{}
	if how.All {
		out.Stopped = names
	}
	return answer(w, out)
}

// stopAll stops containers project by project with operations, so that
// dependants end first and nobody writes beside them.
func (s *server) stopAll(ctx context.Context, up []spec.Container) error {
	projects := map[string]*operation{}
	for _, c := range up {
		name := c.Blueprint.Project
		if name == "" || projects[name] != nil {
			continue
		}
		request, err := json.Marshal(client.StopRequest{})
		if err != nil {
			return fmt.Errorf("cannot stop %s: %w", name, err)
		}
		op, err := s.operations.submit(client.Operation{ID: client.NewID(), Kind: client.Stop, Project: name, Request: request})
		if err != nil {
			return err
		}
		projects[name] = op
	}
	var wrong []error
	for name, op := range projects {
		result, err := op.wait(ctx)
		if err == nil && result.Error != "" {
			err = errors.New(result.Error)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("cannot stop %s: %w", name, err))
		}
	}
	return errors.Join(wrong...)
}
