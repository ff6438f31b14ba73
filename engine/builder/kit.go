package builder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/platforms"
	cachemeta "github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	"github.com/moby/buildkit/cache/remotecache/local"
	remoteregistry "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/exporter/containerimage"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/solver/llbsolver"
	"github.com/moby/buildkit/solver/llbsolver/history"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/engine/image"
)

// kit is BuildKit, put together in this process over the builder's own store:
// no server, no containerd, no runc.
type kit struct {
	worker   *base.Worker
	solver   *llbsolver.Solver
	sessions *session.Manager
	writer   *containerimage.ImageWriter
	cacheTo  map[string]remotecache.ResolveCacheExporterFunc // by type
	closers  []func() error
}

// entitlementHost lets a build with network: host have it.
const entitlementHost = "network.host"

// newKit opens BuildKit's databases beside the store's. What a killed build
// has left is dropped by NewWorker.
func newKit(ctx context.Context, s *Store, exec executor.Executor, hosts docker.RegistryHosts, bases bases) (_ *kit, err error) {
	k := &kit{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cannot open the build cache in %s: %w", s.root, err), k.close())
		}
	}()
	opt, err := k.workerOptions(s, exec, hosts, bases)
	if err != nil {
		return nil, err
	}
	if k.worker, err = base.NewWorker(ctx, opt); err != nil {
		return nil, err
	}
	k.writer, err = containerimage.NewImageWriter(containerimage.WriterOpt{
		Snapshotter: opt.Snapshotter, ContentStore: opt.ContentStore, Applier: opt.Applier, Differ: opt.Differ,
	})
	if err != nil {
		return nil, err
	}
	workers := &worker.Controller{}
	if err := workers.Add(k.worker); err != nil {
		return nil, err
	}
	if k.sessions, err = session.NewManager(); err != nil {
		return nil, err
	}
	cache, err := bboltcachestorage.NewStore(filepath.Join(s.root, "cache.db"))
	if err != nil {
		return nil, err
	}
	k.closers = append(k.closers, cache.Close)
	past, err := k.noHistory(s, opt)
	if err != nil {
		return nil, err
	}
	k.cacheTo = map[string]remotecache.ResolveCacheExporterFunc{
		"inline": inline.ResolveCacheExporterFunc(), localCache: local.ResolveCacheExporterFunc(k.sessions),
		"registry": remoteregistry.ResolveCacheExporterFunc(k.sessions, hosts),
	}
	front := forwarder.NewGatewayForwarder(workers.Infos(), dockerfile.Build)
	k.solver, err = llbsolver.New(llbsolver.Opt{
		WorkerController: workers,
		Frontends:        map[string]frontend.Frontend{"dockerfile.v0": &basesFirst{front, bases}},
		CacheManager:     solver.NewCacheManager(ctx, "local", cache, worker.NewCacheResultStorage(workers)),
		CacheResolvers: map[string]remotecache.ResolveCacheImporterFunc{
			localCache: local.ResolveCacheImporterFunc(k.sessions),
			"registry": remoteregistry.ResolveCacheImporterFunc(k.sessions, opt.ContentStore, hosts),
		},
		SessionManager: k.sessions,
		HistoryQueue:   past,
		Entitlements:   []string{entitlementHost},
	})
	return k, err
}

func (k *kit) workerOptions(s *Store, exec executor.Executor, hosts docker.RegistryHosts, bases bases) (base.WorkerOpt, error) {
	blobs := containerdsnapshot.NewContentStore(s.content(), namespace)
	id, err := base.ID(s.root)
	if err != nil {
		return base.WorkerOpt{}, err
	}
	metadata, err := cachemeta.NewStore(filepath.Join(s.stateDir, image.BuildCache))
	if err != nil {
		return base.WorkerOpt{}, err
	}
	k.closers = append(k.closers, metadata.Close)
	return base.WorkerOpt{
		ID:             id,
		Root:           s.root,
		Labels:         map[string]string{},
		MetadataStore:  metadata,
		Executor:       exec,
		Snapshotter:    containerdsnapshot.NewSnapshotter(snapshotterName, s.snapshot, namespace, nil),
		ContentStore:   blobs,
		Applier:        apply.NewFileSystemApplier(blobs),
		Differ:         walking.NewWalkingDiff(blobs),
		ImageStore:     &localImages{store: s, bases: bases},
		RegistryHosts:  hosts,
		Platforms:      []ocispec.Platform{platforms.Normalize(platforms.DefaultSpec())},
		LeaseManager:   leaseutil.WithNamespace(s.leases(), namespace),
		GarbageCollect: s.db.GarbageCollect,
		MountPoolRoot:  filepath.Join(s.root, "cachemounts"),
	}, nil
}

// noHistory is the queue of past builds that the solver wants; it keeps none,
// the daemon's operations are the record.
func (k *kit) noHistory(s *Store, opt base.WorkerOpt) (*history.Queue, error) {
	db, err := boltutil.SafeOpen(filepath.Join(s.root, "history.db"), 0o600, boltOptions())
	if err != nil {
		return nil, err
	}
	k.closers = append(k.closers, db.Close)
	none := int64(0)
	return history.NewQueue(history.QueueOpt{
		DB:             db,
		LeaseManager:   opt.LeaseManager,
		ContentStore:   opt.ContentStore,
		CleanConfig:    &config.HistoryConfig{MaxEntries: &none},
		GarbageCollect: func(ctx context.Context) error { return s.collect(inNamespace(ctx)) },
		GracefulStop:   make(chan struct{}),
	})
}

func (k *kit) close() error {
	var errs []error
	if k.solver != nil {
		errs = append(errs, k.solver.Close())
	}
	for _, f := range slices.Backward(k.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// prune throws cache records away and returns the bytes that they took.
func (k *kit) prune(ctx context.Context, info client.PruneInfo) (int64, error) {
	records := make(chan client.UsageInfo)
	sizes := map[string]int64{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r := range records {
			sizes[r.ID] = r.Size
		}
	}()
	err := k.worker.Prune(ctx, records, info)
	close(records)
	<-done
	var sum int64
	for size := range maps.Values(sizes) {
		sum += size
	}
	return sum, err
}

// snapshotOf names the snapshot that a cache record stands on. It is private
// to BuildKit, but the record's lease, which has the record's id, holds it.
func (k *kit) snapshotOf(ctx context.Context, id string) (string, error) {
	resources, err := k.worker.LeaseManager().ListResources(ctx, leaseOf(id))
	if err != nil {
		return "", err
	}
	found := ""
	for _, r := range resources {
		if r.Type == snapshotType {
			if found != "" && found != r.ID {
				return "", fmt.Errorf("cache record %s has two snapshots", id)
			}
			found = r.ID
		}
	}
	if found == "" {
		return "", fmt.Errorf("cache record %s has no snapshot", id)
	}
	return found, nil
}
