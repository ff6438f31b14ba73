package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/settings"
	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// runner is the Runner over compose, and over the engine for images.
type runner struct {
	compose *compose.Compose
	files   imageFiles
	store   *store.Store
}

// Run implements Runner.
func (r runner) Run(ctx context.Context, w Work, emit func(event.Event)) event.Result {
	switch w.Kind {
	case client.ImageImport, client.ImageLoad, client.ImageSave:
		return r.files.run(ctx, w, emit)
	}
	request, err := translate(w)
	if err != nil {
		return Failed(err)
	}
	op := compose.Operation{
		ID: w.ID, Kind: compose.Kind(w.Kind), Project: w.Project, Request: request,
		DryRun: w.DryRun, Parallel: w.Parallel, StartedAt: w.StartedAt, Resumed: w.Resumed,
	}
	return r.compose.Do(ctx, op, func(e event.Event) {
		if e.Kind != event.KindResult { // that one is ours to tell
			emit(e)
		}
	})
}

// bootMark remembers for which boot of the machine projects were started.
type bootMark struct {
	BootID string `json:"bootId"`
}

// bootKind is the place of the mark: daemon/boot.json.
func bootKind() store.Kind { return store.Kind{Word: "boot mark", Folder: "daemon", Version: 1} }

// Recover implements Runner.
func (r runner) Recover(ctx context.Context, unfinished []client.Operation) ([]client.Operation, error) {
	var without []client.Operation // write no project, wait for nobody
	var ours []compose.Operation
	byID := map[string]client.Operation{}
	for _, op := range unfinished {
		if op.Project == "" {
			without = append(without, op)
			continue
		}
		byID[op.ID] = op
		ours = append(ours, compose.Operation{ID: op.ID, Kind: compose.Kind(op.Kind), Project: op.Project, DryRun: op.DryRun})
	}
	booted, err := r.booted()
	if err != nil {
		return unfinished, err
	}
	damage, err := r.damage(ctx)
	if err != nil {
		return unfinished, err
	}
	ordered, err := r.compose.Recover(ctx, ours, booted, damage)
	if err != nil {
		return unfinished, err
	}
	out := without
	for _, op := range ordered {
		if known, ok := byID[op.ID]; ok {
			out = append(out, known)
			continue
		}
		request, err := json.Marshal(op.Request)
		if err != nil {
			return unfinished, fmt.Errorf("cannot write request of %s: %w", op.Kind, err)
		}
		out = append(out, client.Operation{Kind: client.Kind(op.Kind), Project: op.Project, Request: request})
	}
	return out, nil
}

// damage is what was set aside while the engine opened. A replica that has a log
// and no container is lost: both go together, but for damage.
func (r runner) damage(ctx context.Context) (compose.Damage, error) {
	torn := r.store.Torn()
	d := compose.Damage{Found: len(torn) > 0, Lost: map[string][]string{}}
	if !d.Found {
		return d, nil
	}
	for _, t := range torn {
		if t.Word == store.ContainerStatus.Word {
			d.Unknown = append(d.Unknown, t.Name)
		}
	}
	containers, err := r.compose.Backend.Containers(ctx, "")
	if err != nil {
		return d, err
	}
	there := map[string]bool{}
	for _, c := range containers {
		there[r.store.LogDir(c.Blueprint.Project, c.Blueprint.Log.Replica)] = true
	}
	logs, err := filepath.Glob(r.store.LogDir("*", "*"))
	for _, dir := range logs {
		if !there[dir] {
			project := filepath.Base(filepath.Dir(dir))
			d.Lost[project] = append(d.Lost[project], filepath.Base(dir))
		}
	}
	return d, err
}

// booted reports whether the machine has booted since the mark was set.
func (r runner) booted() (bool, error) {
	now, err := folder.BootID()
	if err != nil {
		return false, err
	}
	var mark bootMark
	err = r.store.Get(bootKind(), "boot", &mark)
	if errors.Is(err, fs.ErrNotExist) || store.Aside(err) {
		return true, nil
	}
	return mark.BootID != now, err
}

// Recovered implements Runner.
func (r runner) Recovered(context.Context) error {
	booted, err := r.booted()
	if err != nil || !booted {
		return err
	}
	now, err := folder.BootID()
	if err != nil {
		return err
	}
	return r.store.Put(bootKind(), "boot", bootMark{now}, store.Volatile)
}

// translate turns a client's request into compose's, with the model and what
// the settings say.
func translate(w Work) (any, error) {
	switch w.Kind {
	case client.Up, client.Create:
		return upRequest(w)
	case client.Watch:
		return as(w, func(r client.WatchRequest) any {
			return compose.WatchRequest{Project: w.Model, Watch: *watchingOf(w, client.UpRequest{Services: r.Services, Follow: r.Follow, KeepImages: r.KeepImages})}
		})
	case client.Run:
		return as(w, func(r client.RunRequest) any { return runRequest(w, r) })
	case client.Pull:
		return as(w, func(r client.PullRequest) any {
			return compose.PullRequest{
				Project: w.Model, Services: r.Services, Policy: r.Policy, IgnoreBuildable: r.IgnoreBuildable,
				IgnoreFailures: r.IgnoreFailures, IncludeDependencies: r.IncludeDeps, Registries: registries(w),
			}
		})
	case client.Push:
		return as(w, func(r client.PushRequest) any {
			return compose.PushRequest{
				Project: w.Model, Services: r.Services, IgnoreFailures: r.IgnoreFailures,
				IncludeDependencies: r.IncludeDeps, Registries: registries(w),
			}
		})
	case client.Build:
		return as(w, func(r client.BuildRequest) any {
			return compose.BuildRequest{
				Project: w.Model, Services: r.Services, NoCache: r.NoCache, Pull: r.Pull, Args: r.Args,
				IncludeDependencies: r.WithDependencies, SSH: r.SSH, Push: r.Push, Registries: registries(w),
			}
		})
	case client.Down:
		return as(w, func(r client.DownRequest) any {
			return compose.DownRequest{Services: r.Services, Volumes: r.Volumes, RemoveOrphans: r.RemoveOrphans, Images: r.Images, Timeout: r.Timeout, Expected: r.Expected, File: r.File}
		})
	case client.Start:
		return as(w, func(r client.StartRequest) any { return compose.StartRequest(r) })
	case client.Stop:
		return as(w, func(r client.StopRequest) any { return compose.StopRequest(r) })
	case client.Restart:
		return as(w, func(r client.RestartRequest) any { return compose.RestartRequest(r) })
	case client.Pause, client.Unpause:
		return as(w, func(r client.PauseRequest) any { return compose.PauseRequest(r) })
	case client.Kill:
		return as(w, func(r client.KillRequest) any {
			return compose.KillRequest(r)
		})
	case client.Remove:
		return as(w, func(r client.RemoveRequest) any {
			return compose.RemoveRequest{Services: r.Services, Stop: r.Stop, Volumes: r.Volumes}
		})
	case client.Boot:
		return as(w, func(r compose.BootRequest) any { return r })
	}
	return nil, spec.Errorf(spec.ErrInvalid, "cannot do %q: no such operation", w.Kind)
}

// as decodes a request and hands it on. A field that is not known is refused:
// a newer client means something by it.
func as[R any](w Work, f func(R) any) (any, error) {
	var request R
	decoder := json.NewDecoder(bytes.NewReader(w.Request))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return nil, spec.Errorf(spec.ErrInvalid, "cannot read request of %s: %v", w.Kind, err)
	}
	return f(request), nil
}

func upRequest(w Work) (any, error) {
	return as(w, func(r client.UpRequest) any {
		var watching *compose.Watching
		if r.Watch {
			watching = watchingOf(w, r)
		}
		return compose.UpRequest{
			Project: w.Model, Services: r.Services, Scale: r.Scale, NoDeps: r.NoDeps, ForceRecreate: r.ForceRecreate,
			NoRecreate: r.NoRecreate, NoStart: r.NoStart, RemoveOrphans: r.RemoveOrphans, IgnoreOrphans: r.IgnoreOrphans,
			RecreateDependencies: r.RecreateDependencies, RenewAnonymous: r.RenewAnonymous, RecreateVolumes: r.RecreateVolumes,
			Wait: r.Wait, WaitTimeout: r.WaitTimeout, Pull: r.Pull, Build: buildWord(r.Build, r.NoBuild), Timeout: r.Timeout,
			Timings: r.Timings, Watch: watching, Prune: r.Prune,
			Registries: registries(w), Defaults: defaults(w.Settings),
		}
	})
}

func runRequest(w Work, r client.RunRequest) compose.RunRequest {
	return compose.RunRequest{
		Project: w.Model,
		Run: state.Run{
			Service: r.Service, Name: r.Name, Command: r.Command, Entrypoint: r.Entrypoint, Environment: r.Environment,
			Labels: r.Labels, User: r.User, WorkingDir: r.WorkingDir, CapAdd: r.CapAdd, CapDrop: r.CapDrop, Terminal: r.Terminal, Stdin: r.Stdin, Ports: r.Ports,
			Mounts: r.Mounts, ServicePorts: r.ServicePorts, UseAliases: r.UseAliases, Remove: r.Remove, Start: !r.NoStart,
		},
		NoDeps: r.NoDeps, RemoveOrphans: r.RemoveOrphans, Pull: r.Pull, Build: buildWord(r.Build, false),
		Registries: registries(w), Defaults: defaults(w.Settings),
	}
}

// buildWord is compose's word for --build and --no-build.
func buildWord(always, never bool) string {
	switch {
	case always:
		return "always"
	case never:
		return "never"
	}
	return ""
}

func registries(w Work) spec.Registries {
	s := w.Settings
	return spec.Registries{Mirrors: s.RegistryMirrors, Insecure: s.InsecureRegistries, Proxy: s.Proxies, Auth: w.Logins, AuthFile: w.LoginFile}
}

func defaults(s settings.Settings) state.Defaults {
	return state.Defaults{HostIP: s.HostAddress, LogMaxSize: s.LogMaxSize, LogMaxFiles: s.LogMaxFiles}
}

// required names a thing that a request must hold.
func required(value, what string) error {
	if value == "" {
		return fmt.Errorf("cannot read request: no %s", what)
	}
	return nil
}
