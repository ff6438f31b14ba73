package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// labels that the daemon reads; compose writes them.
const (
	labelService = "com.docker.compose.service"
	labelNumber  = "com.docker.compose.container-number"
	labelOneOff  = "com.docker.compose.oneoff"
	labelFiles   = "com.docker.compose.project.config_files"
)

func (s *server) postOperation(w http.ResponseWriter, r *http.Request) error {
	var op client.Operation
	if err := decode(r, &op); err != nil {
		return err
	}
	taken, err := s.take(op)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("follow") == "" {
		return answer(w, taken.status())
	}
	return s.sendOperation(w, r, taken, 1)
}

// take keeps an operation and its input, or finds that of a repeated request.
func (s *server) take(op client.Operation) (*operation, error) {
	if known, err := s.operations.get(op.ID); err == nil {
		return known, nil
	}
	s.inputs.admission.RLock()
	defer s.inputs.admission.RUnlock()
	if err := s.inputs.accept(&op); err != nil {
		return nil, err
	}
	return s.operations.submit(op)
}

func (s *server) getOperation(w http.ResponseWriter, r *http.Request) error {
	op, err := s.operations.get(r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, op.status())
}

func (s *server) cancelOperation(w http.ResponseWriter, r *http.Request) error {
	var request client.CancelRequest
	if err := decode(r, &request); err != nil {
		return err
	}
	op, err := s.operations.get(r.PathValue("id"))
	if err != nil {
		return err
	}
	op.cancelBy(cmp.Or(request.By, "a client"))
	return answer(w, op.status())
}

// getEvents sends events as JSON lines until the result.
func (s *server) getEvents(w http.ResponseWriter, r *http.Request) error {
	op, err := s.operations.get(r.PathValue("id"))
	if err != nil {
		return err
	}
	next, err := strconv.ParseInt(cmp.Or(r.URL.Query().Get("from"), "1"), 10, 64)
	if err != nil {
		return spec.Errorf(spec.ErrInvalid, "cannot read events: bad number %q", r.URL.Query().Get("from"))
	}
	return s.sendOperation(w, r, op, next)
}

func (s *server) sendOperation(w http.ResponseWriter, r *http.Request, op *operation, next int64) error {
	return sendEvents(s, w, r, next, op.from, func(e event.Event) int64 { return e.Sequence })
}

// sendEvents sends what from gives from the event number next on, until from's
// channel is nil: no more will come.
func sendEvents[E any](s *server, w http.ResponseWriter, r *http.Request, next int64,
	from func(int64) ([]E, <-chan struct{}), number func(E) int64,
) error {
	w.Header().Set("Content-Type", client.EventsType)
	lines := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	for {
		events, changed := from(next)
		for _, e := range events {
			if err := lines.Encode(e); err != nil {
				return errAnswered // the client has gone
			}
			next = number(e) + 1
		}
		if err := flush.Flush(); err != nil || changed == nil {
			return errAnswered
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return errAnswered
		case <-s.ctx.Done():
			return errAnswered
		}
	}
}

func (s *server) getInput(w http.ResponseWriter, r *http.Request) error {
	kept, err := s.inputs.answer(r.PathValue("key"))
	if err != nil {
		return err
	}
	return answer(w, kept)
}

func (s *server) getProjects(w http.ResponseWriter, r *http.Request) error {
	containers, err := s.Containers.Containers(r.Context(), "")
	if err != nil {
		return err
	}
	models, err := s.Keeper.Projects(r.Context())
	if err != nil {
		return err
	}
	projects := map[string]*client.Project{}
	get := func(name string) *client.Project {
		if projects[name] == nil {
			projects[name] = &client.Project{Name: name, States: map[spec.State]int{}}
		}
		return projects[name]
	}
	for _, c := range containers {
		if c.Blueprint.Project == "" {
			continue
		}
		p := get(c.Blueprint.Project)
		p.States[c.Status.State]++
		if files := c.Blueprint.Labels[labelFiles]; files != "" {
			p.ComposeFiles = strings.Split(files, ",")
		}
	}
	for name, m := range models {
		get(name).ComposeFiles = m.ComposeFiles
	}
	out := []client.Project{}
	for _, name := range slices.Sorted(maps.Keys(projects)) {
		out = append(out, *projects[name])
	}
	return answer(w, out)
}

func (s *server) getServices(w http.ResponseWriter, r *http.Request) error {
	models, err := s.Keeper.Projects(r.Context())
	if err != nil {
		return err
	}
	m, ok := models[r.PathValue("name")]
	if !ok {
		return spec.Errorf(spec.ErrNotFound, "no such project: %s", r.PathValue("name"))
	}
	names := slices.Collect(maps.Keys(m.Services))
	names = slices.AppendSeq(names, maps.Keys(m.Disabled))
	slices.Sort(names)
	return answer(w, names)
}

func (s *server) getExplanation(w http.ResponseWriter, r *http.Request) error {
	e, err := s.Explainer.Explain(r.Context(), r.PathValue("name"), r.PathValue("service"))
	if errors.As(err, new(*state.NoSuchServiceError)) {
		return spec.Errorf(spec.ErrNotFound, "%v", err)
	}
	if err != nil {
		return err
	}
	return answer(w, e)
}

func (s *server) getContainers(w http.ResponseWriter, r *http.Request) error {
	containers, err := s.Containers.Containers(r.Context(), r.URL.Query().Get("project"))
	if err != nil {
		return err
	}
	if service := r.URL.Query().Get("service"); service != "" {
		containers = slices.DeleteFunc(containers, func(c spec.Container) bool { return c.Blueprint.Labels[labelService] != service })
	}
	return answer(w, containers)
}

func (s *server) startContainer(w http.ResponseWriter, r *http.Request) error {
	// The client may go; the start does not end with it.
	if err := s.Containers.StartContainer(s.ctx, r.PathValue("id")); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

// runPostStart runs the hooks after a start; they end with the client.
func (s *server) runPostStart(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.untilEnd(r.Context())
	defer cancel()
	err := s.Containers.RunHooks(ctx, r.PathValue("id"), spec.PostStart)
	if s.ctx.Err() != nil {
		panic(http.ErrAbortHandler) // the client comes back to our successor
	}
	// One that has ended already does without.
	if err != nil && !errors.Is(err, spec.ErrNotRunning) && !errors.Is(err, spec.ErrNotFound) {
		return err
	}
	return answer(w, struct{}{})
}

func (s *server) removeContainer(w http.ResponseWriter, r *http.Request) error {
	var how spec.Remove
	if err := decode(r, &how); err != nil {
		return err
	}
	if err := s.Containers.RemoveContainer(s.ctx, r.PathValue("id"), how); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func (s *server) signalContainer(w http.ResponseWriter, r *http.Request) error {
	var request client.Signal
	if err := decode(r, &request); err != nil {
		return err
	}
	if err := s.Containers.KillContainer(r.Context(), r.PathValue("id"), request.Signal); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func (s *server) waitContainer(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.untilEnd(r.Context())
	defer cancel()
	status, err := s.Containers.WaitContainer(ctx, r.PathValue("id"), spec.Condition(r.URL.Query().Get("until")))
	if s.ctx.Err() != nil {
		panic(http.ErrAbortHandler) // the client comes back to our successor
	}
	if err != nil {
		return err
	}
	return answer(w, status)
}

// untilEnd is a context that also ends with the daemon.
func (s *server) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

func (s *server) getVolumes(w http.ResponseWriter, r *http.Request) error {
	volumes, err := s.Things.Volumes(r.Context())
	if err != nil {
		return err
	}
	return answer(w, volumes)
}

func (s *server) createVolume(w http.ResponseWriter, r *http.Request) error {
	var v spec.Volume
	if err := decode(r, &v); err != nil {
		return err
	}
	made, err := s.Things.CreateVolume(r.Context(), v)
	if err != nil {
		return err
	}
	return answer(w, made)
}

func (s *server) removeVolume(w http.ResponseWriter, r *http.Request) error {
	name := r.URL.Query().Get("name")
	volumes, err := s.Things.Volumes(r.Context())
	if err != nil {
		return err
	}
	// The engine takes a missing one as success; a person has mistyped it.
	if !slices.ContainsFunc(volumes, func(v spec.Volume) bool { return v.Name == name }) {
		return spec.Errorf(spec.ErrNotFound, "no such volume: %s", name)
	}
	if err := s.Things.RemoveVolume(r.Context(), name); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

// pruneVolumes leaves volumes alone while an operation works on their project:
// the container that will use them may not be there yet, or not again.
func (s *server) pruneVolumes(w http.ResponseWriter, r *http.Request) error {
	var request client.VolumePrune
	if err := decode(r, &request); err != nil {
		return err
	}
	gone, errs, err := s.Things.PruneVolumes(r.Context(), func(v spec.Volume) bool {
		return request.Match(v) && !s.operations.worksOn(v.Project)
	})
	if err != nil {
		return err
	}
	out := client.VolumesPruned{Names: gone}
	for _, err := range errs {
		out.Errors = append(out.Errors, err.Error())
	}
	return answer(w, out)
}

func (s *server) getImages(w http.ResponseWriter, r *http.Request) error {
	images, err := s.Things.Images(r.Context())
	if err != nil {
		return err
	}
	return answer(w, images)
}
