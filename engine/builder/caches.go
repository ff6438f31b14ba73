package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"

	"github.com/containerd/containerd/v2/core/content"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/client/ociindex"
	frontendclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/llbsolver"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"

	"github.com/mycompose/mycompose/engine/image"
)

const (
	localCache = "local"
	// cacheTag is the name in the index of a local cache's folder.
	cacheTag = "latest"
	// localStore begins the names by which BuildKit asks the session for the
	// content of local caches.
	localStore = "local:"
)

// addCaches adds the caches of a request: imports to the frontend's options, the
// folders of local ones to stores. What is not there yet is left out: a first
// build fills it.
func (in *inputs) addCaches(r image.BuildRequest) error {
	in.stores = map[string]content.Store{}
	var imports []frontendclient.CacheOptionsEntry
	for _, cache := range r.CacheFrom {
		entry := frontendclient.CacheOptionsEntry{Type: cache.Type, Attrs: maps.Clone(cache.Attributes)}
		if cache.Type == localCache {
			folder := cache.Attributes["src"]
			desc, err := ociindex.NewStoreIndex(folder).Get(cacheTag)
			if err != nil || desc == nil {
				continue
			}
			if err := in.addStore(folder); err != nil {
				return err
			}
			entry.Attrs["digest"] = string(desc.Digest)
		}
		imports = append(imports, entry)
	}
	for _, cache := range r.CacheTo {
		if cache.Type != localCache {
			continue
		}
		folder := cache.Attributes["dest"]
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("cannot make the folder of a build cache: %w", err)
		}
		if err := in.addStore(folder); err != nil {
			return err
		}
	}
	if len(imports) == 0 {
		return nil
	}
	text, err := json.Marshal(imports)
	in.options["cache-imports"] = string(text)
	return err
}

func (in *inputs) addStore(folder string) error {
	store, err := contentlocal.NewStore(folder)
	if err != nil {
		return fmt.Errorf("cannot open the build cache in %s: %w", folder, err)
	}
	in.stores[localStore+folder] = store
	return nil
}

// cacheExporters are what a build fills besides its image. The session must be
// running, or about to.
func (k *kit) cacheExporters(ctx context.Context, sessionID string, r image.BuildRequest) ([]llbsolver.RemoteCacheExporter, error) {
	var out []llbsolver.RemoteCacheExporter
	for _, cache := range r.CacheTo {
		resolve := k.cacheTo[cache.Type]
		if resolve == nil {
			return nil, fmt.Errorf("cannot export a build cache of type %s: it is not built yet", cache.Type)
		}
		exporter, err := resolve(ctx, session.NewGroup(sessionID), cache.Attributes)
		if err != nil {
			return nil, fmt.Errorf("cannot export the build cache: %w", err)
		}
		mode := solver.CacheExportModeMin
		if cache.Attributes["mode"] == "max" {
			mode = solver.CacheExportModeMax
		}
		out = append(out, llbsolver.RemoteCacheExporter{Exporter: exporter, CacheExportMode: mode})
	}
	return out, nil
}

// nameLocalCaches writes into the folders of local caches which manifest is
// theirs now.
func nameLocalCaches(r image.BuildRequest, response map[string]string) error {
	text := response[remotecache.ExporterResponseManifestDesc]
	if text == "" {
		return nil
	}
	var desc ocispec.Descriptor
	if err := json.Unmarshal([]byte(text), &desc); err != nil {
		return fmt.Errorf("cannot read the manifest of the build cache: %w", err)
	}
	for _, cache := range r.CacheTo {
		if cache.Type != localCache {
			continue
		}
		if err := ociindex.NewStoreIndex(cache.Attributes["dest"]).Put(desc, ociindex.Tag(cacheTag)); err != nil {
			return fmt.Errorf("cannot write the index of the build cache: %w", err)
		}
	}
	return nil
}

// cacheLogins answers a registry cache that asks the session for a login.
type cacheLogins struct {
	auth.UnimplementedAuthServer
	registries image.Registries
}

// Register implements session.Attachable.
func (l *cacheLogins) Register(server *grpc.Server) { auth.RegisterAuthServer(server, l) }

// Credentials implements auth.AuthServer.
func (l *cacheLogins) Credentials(_ context.Context, r *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	user, secret, err := credentials(l.registries, r.Host)
	return &auth.CredentialsResponse{Username: user, Secret: secret}, err
}
