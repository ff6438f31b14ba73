package builder

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/session"
	sessioncontent "github.com/moby/buildkit/session/content"
	"github.com/moby/buildkit/session/filesync"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	"github.com/moby/buildkit/solver/llbsolver"
	"github.com/moby/buildkit/util/entitlements"
	"golang.org/x/sync/errgroup"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/image"
)

// cacheBytes bounds the build cache when the builder leaves; cacheAge is how
// long a record stays without use.
const (
	cacheBytes = 20 << 30
	cacheAge   = 30 * 24 * time.Hour
)

// building is one build in progress.
type building struct {
	request image.BuildRequest
	job     *job
	server  *server
	here    map[string]bool // see inputs
}

// build runs a Dockerfile.
func (b *Builder) build(ctx context.Context, r image.BuildRequest, job *job) (image.Result, error) {
	var tags []image.Name
	for _, tag := range r.Tags {
		name, err := image.Normalize(tag)
		if err != nil {
			return image.Result{}, err
		}
		tags = append(tags, image.Name{Reference: name})
	}
	inputs, err := newInputs(r)
	if err != nil {
		return image.Result{}, withCode(image.CodeBuild, err)
	}
	fault.Point("build:begin")
	k, err := b.openKit(ctx)
	if err != nil {
		return image.Result{}, err
	}
	b.registries.Store(&r.Registries)
	progress := newProgress(job)
	record, err := b.solve(ctx, k, r, inputs, job, progress)
	if err != nil {
		return image.Result{}, progress.explain(err)
	}
	fault.Point("build:solved")
	for i := range tags {
		tags[i].Digest = record.Digest
	}
	return image.Result{Record: record, Names: tags}, nil
}

// openKit opens BuildKit at the first build.
func (b *Builder) openKit(ctx context.Context) (*kit, error) {
	b.kitMu.Lock()
	defer b.kitMu.Unlock()
	if b.kit != nil {
		return b.kit, nil
	}
	k, err := newKit(inNamespace(context.WithoutCancel(ctx)), b.store, b.steps, b.currentHosts, b)
	if err != nil {
		return nil, err
	}
	b.kit = k
	return k, nil
}

// solve runs the build, its session and its progress side by side.
func (b *Builder) solve(ctx context.Context, k *kit, r image.BuildRequest, in *inputs, job *job, progress *progress) (image.Record, error) {
	ctx = context.WithValue(ctx, buildKey{}, &building{request: r, job: job, server: b.host.Load(), here: in.here})
	s, err := session.NewSession(ctx, in.sharedKey)
	if err != nil {
		return image.Record{}, fmt.Errorf("cannot build: %w", err)
	}
	s.Allow(filesync.NewFSSyncProvider(in.folders))
	if len(r.Secrets) > 0 {
		s.Allow(secretsprovider.FromMap(in.secrets))
	}
	if len(r.SSH) > 0 {
		agents, err := sshAgents(r.SSH)
		if err != nil {
			return image.Record{}, err
		}
		s.Allow(agents)
	}
	if len(r.CacheFrom)+len(r.CacheTo) > 0 {
		s.Allow(&cacheLogins{registries: r.Registries})
	}
	if len(in.stores) > 0 {
		s.Allow(sessioncontent.NewAttachable(in.stores))
	}
	id := rand.Text()
	out := &export{kit: k, store: b.store}
	status := make(chan *client.SolveStatus, 16)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Run(groupCtx, k.dial) })
	group.Go(func() error {
		progress.follow(status)
		return nil
	})
	group.Go(func() error {
		// It ends with the build, also with a failed one, and closes status.
		// A build that never became a job has no progress to lose.
		_ = k.solver.Status(context.WithoutCancel(ctx), id, status)
		return nil
	})
	group.Go(func() error {
		defer s.Close()
		caches, err := k.cacheExporters(groupCtx, s.ID(), r)
		if err != nil {
			return err
		}
		response, err := k.solver.Solve(groupCtx, id, s.ID(),
			frontend.SolveRequest{Frontend: "dockerfile.v0", FrontendOpt: in.options}, 0,
			llbsolver.ExporterRequest{Exporters: []exporter.ExporterInstance{out}, CacheExporters: caches}, in.entitlements, nil, false, nil, "", false)
		if err != nil {
			return err
		}
		return nameLocalCaches(r, response.ExporterResponse)
	})
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return image.Record{}, err
	}
	if out.record.Digest == "" {
		return image.Record{}, errors.New("cannot build: the build has no result")
	}
	return out.record, nil
}

// dial joins a session to the manager in this process.
func (k *kit) dial(ctx context.Context, _ string, meta map[string][]string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() { // ends with the session, which closes ours
		defer theirs.Close()
		_ = k.sessions.HandleConn(context.WithoutCancel(ctx), theirs, meta)
	}()
	return ours, nil
}

// sshAgents gives RUN --mount=type=ssh the agents behind sockets and the keys in
// files.
func sshAgents(paths map[string]string) (session.Attachable, error) {
	var agents []sshprovider.AgentConfig
	for _, id := range slices.Sorted(maps.Keys(paths)) {
		if paths[id] == "" {
			return nil, fmt.Errorf("there is no SSH agent for %q: SSH_AUTH_SOCK is not set; start one, or write %s=PATH of a key", id, id)
		}
		agents = append(agents, sshprovider.AgentConfig{ID: id, Paths: []string{paths[id]}})
	}
	return sshprovider.NewSSHAgentProvider(agents)
}

func hostEntitlement(network string) []entitlements.Entitlement {
	if network == "host" {
		return []entitlements.Entitlement{entitlements.EntitlementNetworkHost}
	}
	return nil
}

// prune throws away build cache.
func (b *Builder) prune(ctx context.Context, r image.PruneRequest) (int64, error) {
	k, err := b.openKit(ctx)
	if err != nil {
		return 0, err
	}
	freed, err := k.prune(ctx, client.PruneInfo{All: r.All})
	if err != nil {
		return freed, fmt.Errorf("cannot prune the build cache: %w", err)
	}
	return freed, b.store.collect(ctx)
}

// trim keeps the build cache within its bounds; called when there is time.
func (b *Builder) trim(ctx context.Context) error {
	b.kitMu.Lock()
	k := b.kit
	b.kitMu.Unlock()
	if k == nil {
		return nil
	}
	for _, policy := range []client.PruneInfo{
		{All: true, KeepDuration: cacheAge},
		{All: true, MaxUsedSpace: cacheBytes},
	} {
		if _, err := k.prune(ctx, policy); err != nil {
			return fmt.Errorf("cannot trim the build cache: %w", err)
		}
	}
	return nil
}
