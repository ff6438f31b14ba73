package builder

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/session/filesync"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/moby/buildkit/util/staticfs"
	"github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"

	"github.com/mycompose/mycompose/engine/image"
)

// networkPrefix carries the name of a build's network through BuildKit, which
// knows no networks: in the cgroup parent of its steps, which we need not.
const networkPrefix = "mycompose-network:"

// localImage begins the source of a named context that is an image here.
const localImage = "image:"

// inputs are a request in BuildKit's terms.
type inputs struct {
	folders      filesync.StaticDirSource
	options      map[string]string
	secrets      map[string][]byte
	here         map[string]bool // images that no registry is asked for
	entitlements []entitlements.Entitlement
	stores       map[string]content.Store // of local caches, see addCaches
	// sharedKey lets BuildKit take over only what has changed in a context
	// since the last build.
	sharedKey string
}

// newInputs checks a request against the file system and translates it.
func newInputs(r image.BuildRequest) (*inputs, error) {
	if !filepath.IsAbs(r.Context) {
		return nil, fmt.Errorf("cannot build: context %q is not an absolute folder", r.Context)
	}
	context, err := openFolder(r.Context)
	if err != nil {
		return nil, fmt.Errorf("cannot build: context %w", err)
	}
	file, name, err := dockerfileFolder(r)
	if err != nil {
		return nil, fmt.Errorf("cannot build: %w", err)
	}
	in := &inputs{
		folders:      filesync.StaticDirSource{"context": context, "dockerfile": file},
		secrets:      map[string][]byte{},
		here:         map[string]bool{},
		sharedKey:    digest.FromString(r.Context).Encoded()[:16],
		entitlements: hostEntitlement(r.Network),
	}
	for _, s := range r.Secrets {
		in.secrets[s.ID] = s.Content
	}
	if in.options, err = options(r, name); err != nil {
		return nil, fmt.Errorf("cannot build: %w", err)
	}
	if err := in.addCaches(r); err != nil {
		return nil, err
	}
	return in, in.addContexts(r.AdditionalContexts)
}

func openFolder(path string) (fsutil.FS, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist", path)
	}
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", path)
	}
	return fsutil.NewFS(path)
}

// dockerfileFolder is the folder that holds the Dockerfile, and its name there.
func dockerfileFolder(r image.BuildRequest) (fsutil.FS, string, error) {
	if r.Inline != "" {
		memory := staticfs.NewFS()
		memory.Add("Dockerfile", &fstypes.Stat{Mode: 0o644, ModTime: time.Unix(0, 0).UnixNano()}, []byte(r.Inline))
		return memory, "Dockerfile", nil
	}
	path := r.Dockerfile
	if path == "" {
		path = "Dockerfile"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.Context, path)
	}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", fmt.Errorf("there is no Dockerfile at %s", path)
	case err != nil:
		return nil, "", err
	case !st.Mode().IsRegular():
		return nil, "", fmt.Errorf("%s is no file", path)
	}
	folder, err := openFolder(filepath.Dir(path))
	return folder, filepath.Base(path), err
}

// options are the attributes of the Dockerfile frontend. Pure.
func options(r image.BuildRequest, dockerfile string) (map[string]string, error) {
	out := map[string]string{
		"filename":           dockerfile,
		"cmdline":            "mycompose", // "# syntax=" means the built-in frontend
		"image-resolve-mode": "local",
	}
	for k, v := range r.Args {
		out["build-arg:"+k] = v
	}
	for k, v := range r.Labels {
		out["label:"+k] = v
	}
	if r.Target != "" {
		out["target"] = r.Target
	}
	if r.Platform != "" {
		out["platform"] = r.Platform
	}
	switch {
	case r.NoCache:
		out["no-cache"] = ""
	case len(r.NoCacheFilter) > 0:
		out["no-cache"] = strings.Join(r.NoCacheFilter, ",")
	}
	if len(r.Ulimits) > 0 {
		var fields []string
		for _, name := range slices.Sorted(maps.Keys(r.Ulimits)) {
			fields = append(fields, fmt.Sprintf("%s=%d:%d", name, r.Ulimits[name].Soft, r.Ulimits[name].Hard))
		}
		out["ulimit"] = strings.Join(fields, ",")
	}
	if r.ShmSize > 0 {
		out["shm-size"] = strconv.FormatInt(r.ShmSize, 10)
	}
	switch r.Network {
	case "", "default":
	case "host", "none":
		out["force-network-mode"] = r.Network
	default:
		out["cgroup-parent"] = networkPrefix + r.Network
	}
	hosts, err := addHosts(r.ExtraHosts)
	if hosts != "" {
		out["add-hosts"] = hosts
	}
	return out, err
}

// addHosts is "name=address,…" as a line of CSV, sorted: it is part of the
// cache's keys.
func addHosts(hosts map[string]string) (string, error) {
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		if _, err := netip.ParseAddr(hosts[name]); err != nil {
			return "", fmt.Errorf("extra host %s: %q is no address", name, hosts[name])
		}
		fields = append(fields, name+"="+hosts[name])
	}
	if len(fields) == 0 {
		return "", nil
	}
	var out strings.Builder
	w := csv.NewWriter(&out)
	if err := w.Write(fields); err != nil {
		return "", err
	}
	w.Flush()
	return strings.TrimSpace(out.String()), w.Error()
}

// addContexts adds named contexts: folders, or what the frontend understands
// itself ("docker-image://", "https://").
func (in *inputs) addContexts(contexts map[string]string) error {
	for name, source := range contexts {
		if ref, ok := strings.CutPrefix(source, localImage); ok {
			full, err := image.Normalize(ref)
			if err != nil {
				return fmt.Errorf("cannot build: additional context %s: %w", name, err)
			}
			in.here[full] = true
			source = "docker-image://" + full
		}
		if !filepath.IsAbs(source) {
			in.options["context:"+name] = source
			continue
		}
		folder, err := openFolder(source)
		if err != nil {
			return fmt.Errorf("cannot build: additional context %s: %w", name, err)
		}
		in.folders[name] = folder
		in.options["context:"+name] = "local:" + name
	}
	return nil
}
