package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/cgroup"
	"github.com/mycompose/mycompose/engine/confine"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/dns"
	"github.com/mycompose/mycompose/network/ipam"
)

// Config is what an engine is opened with.
type Config struct {
	// Store is the open state folder; its daemon lock is held by the caller.
	Store  *store.Store
	Logger *slog.Logger
	// Small is the sealed small program, Binary the mycompose binary that a
	// monitor gives to a keeper it has to start. Both stay the caller's.
	Small, Binary *os.File
	// Keeper keeps sockets beyond our life.
	Keeper Keeper
	// Builder opens the builder's program, to be executed by its path; nil
	// where there is none. See StartBuilder.
	Builder BuilderProgram
	// Pools are where networks get their subnets; nil is ipam.DefaultPools.
	Pools []ipam.Pool
	// IPTables keeps the rules by iptables even if the kernel has nf_tables:
	// for tests of that road.
	IPTables bool
	// ResolvConf names the host's resolv.conf; empty is /etc/resolv.conf.
	ResolvConf string
}

// Engine keeps containers, networks, volumes and images. Its methods may be
// called by many goroutines.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	store  *store.Store
	place  folder.Place
	images *image.Store
	bootID string

	cgroups  *cgroup.Host
	confiner *confine.Confiner
	host     *network.Host
	rules    *rules
	shield   shield
	zone     *dns.Zone
	resolver *dns.Server
	upstream *dns.File
	bridges  *reaper
	drops    gather // of sockets that the keeper has
	proxy    proxyLink
	passing  passing
	lately   justClosed
	builder  builder
	spares   spares

	opened time.Time
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // every goroutine of ours

	// upperOnce tries the state folder's file system.
	upperOnce sync.Once
	upperErr  error

	// skeletonOnce makes the mount points below every image.
	skeletonOnce sync.Once
	skeletonErr  error

	// networkTurn is held by the one that makes or removes a network.
	networkTurn sync.Mutex
	// volumeTurn is held by the one that makes, fills or removes a volume.
	volumeTurn   sync.Mutex
	volumeMounts volumeMounts

	mu       sync.Mutex // guards the maps
	lives    map[string]*life
	names    map[string]string // container name → id; "" while being made
	index    index
	networks map[string]*bridge
	volumes  map[string]spec.Volume
	// left are anonymous volumes of containers that were removed for a successor,
	// until it is made.
	left map[string]bool
	// newerStands: there is something that only a newer mycompose may change,
	// since the engine was opened.
	newerStands bool

	listeners listeners
}

// Open opens the engine of a state folder, adopts what runs and removes what
// belongs to nobody. Errors about single objects are logged, and the engine
// goes on without them.
func Open(cfg Config) (*Engine, error) {
	bootID, err := folder.BootID()
	if err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", err)
	}
	cgroups, err := cgroup.Discover()
	if err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", err)
	}
	confiner, err := confine.New()
	if err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", err)
	}
	host, err := network.Open()
	if err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", err)
	}
	if cfg.Pools == nil {
		cfg.Pools = ipam.DefaultPools()
	}
	if cfg.ResolvConf == "" {
		cfg.ResolvConf = "/etc/resolv.conf"
	}
	e := &Engine{
		cfg: cfg, log: cfg.Logger, store: cfg.Store, place: cfg.Store.Place, bootID: bootID,
		images: image.NewStore(cfg.Store), cgroups: cgroups, confiner: confiner,
		opened: time.Now(), host: host, zone: dns.NewZone(), upstream: dns.NewFile(cfg.ResolvConf),
		lives: map[string]*life{}, names: map[string]string{}, index: index{},
		networks: map[string]*bridge{}, volumes: map[string]spec.Volume{}, left: map[string]bool{},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	table, err := e.openRules()
	if err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", errors.Join(err, e.host.Close()))
	}
	e.rules = newRules(table, e.linkPrefix())
	e.resolver = dns.NewServer(names{e}, cfg.Logger)
	e.proxy = proxyLink{
		place: e.place, binary: cfg.Binary, small: cfg.Small, log: cfg.Logger,
		living: e.ctx, goDo: e.goDo, wanted: map[string]proxied{},
	}
	e.spares.place, e.spares.binary, e.spares.small = e.place, cfg.Binary, cfg.Small
	e.bridges = &reaper{remove: host.RemoveBridges, log: cfg.Logger}
	if err := e.recover(); err != nil {
		return nil, fmt.Errorf("cannot open the engine: %w", errors.Join(err, e.Close()))
	}
	e.watchHost()
	e.spares.open()
	return e, nil
}

// Close lets go of everything; containers run on, and the next Open finds them.
func (e *Engine) Close() error {
	e.cancel()
	e.listeners.closeAll()
	e.builder.close()
	e.proxy.close()
	e.spares.close()
	for _, l := range e.all() {
		e.detach(l)
	}
	e.work.Wait()
	e.bridges.wait()
	e.shield.close()
	return errors.Join(e.rules.close(), e.host.Close())
}

// goDo runs f in a goroutine that Close waits for.
func (e *Engine) goDo(f func()) {
	e.work.Add(1)
	go func() {
		defer e.work.Done()
		f()
	}()
}

// life finds a container by id.
func (e *Engine) life(id string) (*life, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.lives[id]; l != nil {
		return l, nil
	}
	return nil, spec.Errorf(spec.ErrNotFound, "no container %s", short(id))
}

// Find finds a container by id, by name, or by the only id that begins so.
func (e *Engine) Find(word string) (spec.Container, error) {
	e.mu.Lock()
	l := e.lives[word]
	if l == nil {
		l = e.lives[e.names[word]]
	}
	var found []*life
	for id, other := range e.lives {
		if l == nil && len(word) >= 4 && strings.HasPrefix(id, word) {
			found = append(found, other)
		}
	}
	e.mu.Unlock()
	switch {
	case l != nil:
		return l.container(), nil
	case len(found) == 1:
		return found[0].container(), nil
	case len(found) > 1:
		return spec.Container{}, spec.Errorf(spec.ErrInvalid, "%s begins the ids of %d containers", word, len(found))
	}
	return spec.Container{}, spec.Errorf(spec.ErrNotFound, "no container %s", word)
}

// all lists the lives, sorted by name.
func (e *Engine) all() []*life {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]*life, 0, len(e.lives))
	for _, l := range e.lives {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *life) int { return strings.Compare(a.name(), b.name()) })
	return out
}

func short(id string) string { return id[:min(12, len(id))] }

// ignoreMissing turns "is not there" into success.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
