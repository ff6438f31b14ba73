package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// KeptInput returns the inputs kept under a key; spec.ErrNotFound if none are.
func (c *Client) KeptInput(ctx context.Context, key string) (KeptInput, error) {
	var k KeptInput
	err := c.call(ctx, http.MethodGet, "/inputs/"+url.PathEscape(key), nil, nil, &k)
	return k, err
}

// Projects lists all projects that have containers or are kept, by name.
func (c *Client) Projects(ctx context.Context) ([]Project, error) {
	var out []Project
	err := c.call(ctx, http.MethodGet, "/projects", nil, nil, &out)
	return out, err
}

// ProjectServices returns the names of a kept project's services, sorted;
// spec.ErrNotFound if no such project is kept.
func (c *Client) ProjectServices(ctx context.Context, project string) ([]string, error) {
	var out []string
	err := c.call(ctx, http.MethodGet, "/projects/"+url.PathEscape(project)+"/services", nil, nil, &out)
	return out, err
}

// Explain says why the containers of a service are as they are;
// spec.ErrNotFound if neither the kept project nor a container knows it.
func (c *Client) Explain(ctx context.Context, project, service string) (state.Explanation, error) {
	var out state.Explanation
	path := "/projects/" + url.PathEscape(project) + "/services/" + url.PathEscape(service) + "/explain"
	err := c.call(ctx, http.MethodGet, path, nil, nil, &out)
	return out, err
}

// Containers lists those of a project ("" is all), sorted by name.
func (c *Client) Containers(ctx context.Context, project string) ([]spec.Container, error) {
	var out []spec.Container
	err := c.call(ctx, http.MethodGet, "/containers", url.Values{"project": {project}}, nil, &out)
	return out, err
}

// ServiceContainers lists those of one service.
func (c *Client) ServiceContainers(ctx context.Context, project, service string) ([]spec.Container, error) {
	var out []spec.Container
	err := c.call(ctx, http.MethodGet, "/containers", url.Values{"project": {project}, "service": {service}}, nil, &out)
	return out, err
}

// StartContainer starts a container that exists, without its hooks.
func (c *Client) StartContainer(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/containers/"+id+"/start", nil, nil, nil)
}

// RunPostStart runs the hooks after a start, which end with ctx; a container that
// has ended does without. It survives a restart of the daemon.
func (c *Client) RunPostStart(ctx context.Context, id string) error {
	return c.again(ctx, "/containers/"+id+"/post-start", nil)
}

// RemoveContainer removes a container; one that is gone is success. It survives
// a restart of the daemon.
func (c *Client) RemoveContainer(ctx context.Context, id string, how spec.Remove) error {
	return c.again(ctx, "/containers/"+id+"/remove", how)
}

// again asks for what may be done twice, until a daemon lives long enough.
func (c *Client) again(ctx context.Context, path string, in any) error {
	for attempt := 0; ; attempt++ {
		err := c.callOnce(ctx, http.MethodPost, path, nil, in, nil)
		if err == nil || ctx.Err() != nil || attempt == attempts || !lost(err) {
			return err
		}
		pause(ctx, attempt%8)
	}
}

// SignalContainer sends a signal to the first process.
func (c *Client) SignalContainer(ctx context.Context, id, signal string) error {
	return c.call(ctx, http.MethodPost, "/containers/"+id+"/signal", nil, Signal{signal}, nil)
}

// ResizeContainer sets the size of a container's terminal.
func (c *Client) ResizeContainer(ctx context.Context, id string, size Resize) error {
	return c.call(ctx, http.MethodPost, "/containers/"+id+"/resize", nil, size, nil)
}

// WaitContainer waits for a condition. It survives a restart of the daemon.
func (c *Client) WaitContainer(ctx context.Context, id string, until spec.Condition) (spec.Status, error) {
	var s spec.Status
	query := url.Values{"until": {string(until)}}
	for attempt := 0; ; attempt++ {
		err := c.callOnce(ctx, http.MethodGet, "/containers/"+id+"/wait", query, nil, &s)
		if err == nil || ctx.Err() != nil || attempt == attempts || !lost(err) {
			return s, err
		}
		pause(ctx, attempt%8)
	}
}

// Images lists all images.
func (c *Client) Images(ctx context.Context) ([]spec.Image, error) {
	var out []spec.Image
	err := c.call(ctx, http.MethodGet, "/images", nil, nil, &out)
	return out, err
}

// DeleteImage removes a reference, and the image with its last one; force takes
// one with several names by its digest or id.
func (c *Client) DeleteImage(ctx context.Context, reference string, force bool) (spec.Deleted, error) {
	var out spec.Deleted
	query := url.Values{"reference": {reference}, "force": {strconv.FormatBool(force)}}
	err := c.call(ctx, http.MethodDelete, "/images", query, nil, &out)
	return out, err
}

// ImageDetails tells all about an image.
func (c *Client) ImageDetails(ctx context.Context, word string) (spec.ImageDetails, error) {
	var out spec.ImageDetails
	err := c.call(ctx, http.MethodGet, "/images/details", url.Values{"image": {word}}, nil, &out)
	return out, err
}

// TagImage points a further name at an image.
func (c *Client) TagImage(ctx context.Context, r TagRequest) error {
	return c.call(ctx, http.MethodPost, "/images/tag", nil, r, nil)
}

// PruneImages removes images.
func (c *Client) PruneImages(ctx context.Context, r spec.Prune) (spec.Pruned, error) {
	var out spec.Pruned
	err := c.call(ctx, http.MethodPost, "/images/prune", nil, r, &out)
	return out, err
}

// Volumes lists all volumes.
func (c *Client) Volumes(ctx context.Context) ([]spec.Volume, error) {
	var out []spec.Volume
	err := c.call(ctx, http.MethodGet, "/volumes", nil, nil, &out)
	return out, err
}

// CreateVolume makes a volume; an equal one is success, spec.ErrConflict another of
// that name.
func (c *Client) CreateVolume(ctx context.Context, v spec.Volume) (spec.Volume, error) {
	var out spec.Volume
	err := c.call(ctx, http.MethodPost, "/volumes", nil, v, &out)
	return out, err
}

// RemoveVolume removes a volume that nobody uses.
func (c *Client) RemoveVolume(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/volumes", url.Values{"name": {name}}, nil, nil)
}

// VolumePrune says which unused volumes go: anonymous ones.
type VolumePrune struct {
	// Project limits it; Named ones go too.
	Project string `json:"project,omitempty"`
	Named   bool   `json:"named,omitempty"`
}

// Match reports whether a volume may go.
func (p VolumePrune) Match(v spec.Volume) bool {
	return (p.Named || v.Anonymous) && (p.Project == "" || v.Project == p.Project)
}

// VolumesPruned are the names of those that are gone, and the errors of others.
type VolumesPruned struct {
	Names  []string `json:"names,omitempty"`
	Errors []string `json:"errors,omitempty"`
}

// PruneVolumes removes unused volumes and returns their names, with an error too.
// Those of projects that an operation works on stay.
func (c *Client) PruneVolumes(ctx context.Context, p VolumePrune) ([]string, error) {
	var out VolumesPruned
	if err := c.call(ctx, http.MethodPost, "/volumes/prune", nil, p, &out); err != nil {
		return nil, err
	}
	var errs []error
	for _, text := range out.Errors {
		errs = append(errs, errors.New(text))
	}
	return out.Names, errors.Join(errs...)
}

// Info asks what the daemon is and can do.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var out Info
	err := c.call(ctx, http.MethodGet, "/info", nil, nil, &out)
	return out, err
}

// SystemStop ends daemon and keeper.
func (c *Client) SystemStop(ctx context.Context, how SystemStop) (SystemStopAnswer, error) {
	var out SystemStopAnswer
	err := c.call(ctx, http.MethodPost, "/system/stop", nil, how, &out)
	return out, err
}

// SystemPrune removes what was set aside because it was damaged.
func (c *Client) SystemPrune(ctx context.Context) (SystemPruneAnswer, error) {
	var out SystemPruneAnswer
	err := c.call(ctx, http.MethodPost, "/system/prune", nil, nil, &out)
	return out, err
}
