package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/sys/mountinfo"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

const (
	// namespace is the one namespace of the metadata store that is used.
	namespace = "mycompose"
	// snapshotterName is the name BuildKit knows overlayfs by.
	snapshotterName = "overlayfs"
	snapshotType    = "snapshots/" + snapshotterName
	// folderLabel holds a snapshot's folder (overlay's WithUpperdirLabel).
	folderLabel = "containerd.io/snapshot/overlay.upperdir"
	// leasePrefix marks the leases that image records stand behind.
	leasePrefix = "image/"
	// temporaryLabel marks the lease of an operation under way. It is not
	// BuildKit's: its worker drops every lease with its own label when it
	// opens, and it opens with the first build, beside pulls under way.
	temporaryLabel = "mycompose/lease.temporary"
)

// Store is the content, the layer folders and their metadata.
type Store struct {
	root     string // <state>/builder
	stateDir string
	lock     *os.File
	bolt     *bolt.DB
	db       *metadata.DB
	snapshot snapshots.Snapshotter
	closers  []func() error
}

// ErrLocked is returned when another builder owns the state folder.
var ErrLocked = errors.New("another builder is running on this state folder")

// OpenStore opens or makes the store below stateDir and collects what a
// killed predecessor left half made. One that is just leaving is waited for.
func OpenStore(ctx context.Context, stateDir string) (_ *Store, err error) {
	root := filepath.Join(stateDir, "builder")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the builder's folder: %w", err)
	}
	s := &Store{root: root, stateDir: stateDir}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.takeLock(ctx); err != nil {
		return nil, err
	}
	if err := s.clearTemporary(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("cannot open the image store in %s: %w", root, err)
	}
	if err := s.collectLeftovers(inNamespace(ctx)); err != nil {
		return nil, fmt.Errorf("cannot clean the image store in %s: %w", root, err)
	}
	return s, nil
}

// How long a predecessor that is about to leave, since its daemon was killed, is
// waited for, and how often it is looked whether it has.
const (
	lockTime  = 10 * time.Second
	lockPause = 5 * time.Millisecond
)

// takeLock fails with ErrLocked if another builder stays.
func (s *Store) takeLock(ctx context.Context) error {
	lock, err := os.OpenFile(filepath.Join(s.root, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot lock the image store: %w", err)
	}
	s.lock = lock
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("cannot lock the image store in %s: %w", s.root, err)
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return fmt.Errorf("cannot lock the image store in %s: %w", s.root, ErrLocked)
		}
	}
}

// TempDir is where BuildKit's temporary files belong, mount points above all.
func TempDir(stateDir string) string { return filepath.Join(stateDir, "builder", "tmp") }

// SetTemporary has this process make its temporary files in TempDir, which the next
// builder empties should we be killed.
func SetTemporary(stateDir string) error {
	dir := TempDir(stateDir)
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return err
	}
	return mount.SetTempMountLocation(dir) // it was chosen before, by TMPDIR
}

// clearTemporary empties TempDir. A predecessor's mounts went with its mount
// namespace; one that is there all the same is detached, never emptied.
func (s *Store) clearTemporary() error {
	dir := TempDir(s.stateDir)
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return fmt.Errorf("cannot clear temporary files: %w", err)
	}
	for _, m := range slices.Backward(mounts) {
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("cannot detach %s: %w", m.Mountpoint, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("cannot clear temporary files: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the folder for temporary files: %w", err)
	}
	return nil
}

func (s *Store) open() error {
	// Removing asynchronously means: after the locks are given back.
	folders, err := overlay.NewSnapshotter(filepath.Join(s.root, "snapshots"), overlay.WithUpperdirLabel, overlay.AsynchronousRemove)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, folders.Close)
	blobs, err := local.NewStore(filepath.Join(s.root, "content"))
	if err != nil {
		return err
	}
	s.bolt, err = bolt.Open(filepath.Join(s.root, "meta.db"), 0o600, boltOptions())
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.bolt.Close)
	s.db = metadata.NewDB(s.bolt, blobs, map[string]snapshots.Snapshotter{snapshotterName: folders})
	s.snapshot = s.db.Snapshotter(snapshotterName)
	return s.db.Init(context.Background())
}

// boltOptions: we hold the lock of the whole folder, so waiting makes no sense.
func boltOptions() *bolt.Options {
	return &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoFreelistSync: true}
}

// Close closes the databases and gives the lock back.
func (s *Store) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}

func inNamespace(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, namespace)
}

// collectLeftovers drops the temporary leases of a predecessor, BuildKit's
// among them, and what only they held.
func (s *Store) collectLeftovers(ctx context.Context) error {
	manager := s.leases()
	left, err := manager.List(ctx, `labels."`+temporaryLabel+`"`, `labels."buildkit/lease.temporary"`)
	if err != nil {
		return err
	}
	for _, l := range left {
		if err := manager.Delete(ctx, l); err != nil {
			return err
		}
	}
	return s.collect(ctx)
}

// collect removes every blob and folder that no lease holds.
func (s *Store) collect(ctx context.Context) error {
	_, err := s.db.GarbageCollect(ctx)
	return err
}

func (s *Store) content() content.Store { return s.db.ContentStore() }

func (s *Store) leases() leases.Manager { return metadata.NewLeaseManager(s.db) }

// withTemporary gives the operation a lease of its own: what it makes is safe
// from collection until done is called.
func (s *Store) withTemporary(ctx context.Context) (_ context.Context, done func(), err error) {
	began := time.Now().UTC().Format(time.RFC3339Nano)
	ctx, release, err := leaseutil.WithLease(ctx, s.leases(), leases.WithLabel(temporaryLabel, began), leases.WithExpiration(7*24*time.Hour))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a lease: %w", err)
	}
	// A lease that cannot be dropped goes at the next start.
	return ctx, func() { _ = release(context.WithoutCancel(ctx)) }, nil
}

// hold makes the image lease of digest and puts the resources into it.
func (s *Store) hold(ctx context.Context, digest string, resources ...leases.Resource) error {
	manager := s.leases()
	lease := leases.Lease{ID: leasePrefix + digest}
	if _, err := manager.Create(ctx, leases.WithID(lease.ID)); err != nil && !errdefs.IsAlreadyExists(err) {
		return fmt.Errorf("cannot hold image %s: %w", digest, err)
	}
	for _, r := range resources {
		if err := manager.AddResource(ctx, lease, r); err != nil {
			return fmt.Errorf("cannot hold %s of image %s: %w", r.ID, digest, err)
		}
	}
	return nil
}

// Release drops the lease of an image and collects what nothing else holds.
// An unknown digest is no error.
func (s *Store) Release(ctx context.Context, digest string) error {
	ctx = inNamespace(ctx)
	err := s.leases().Delete(ctx, leases.Lease{ID: leasePrefix + digest})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cannot release image %s: %w", digest, err)
	}
	return s.collect(ctx)
}

// Keep drops every image lease that is not among digests, and returns those
// of digests that have none.
func (s *Store) Keep(ctx context.Context, digests []string) (missing []string, err error) {
	ctx = inNamespace(ctx)
	all, err := s.leases().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list leases: %w", err)
	}
	wanted := map[string]bool{}
	for _, d := range digests {
		wanted[d] = true
	}
	dropped := false
	for _, l := range all {
		digest, ok := strings.CutPrefix(l.ID, leasePrefix)
		if !ok {
			continue
		}
		if wanted[digest] {
			delete(wanted, digest)
			continue
		}
		dropped = true
		if err := s.leases().Delete(ctx, l); err != nil && !errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("cannot drop lease %s: %w", l.ID, err)
		}
	}
	for _, d := range digests {
		if wanted[d] {
			missing = append(missing, d)
		}
	}
	if dropped {
		err = s.collect(ctx)
	}
	return missing, err
}
