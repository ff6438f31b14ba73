package engine

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/confine"
	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network/port"
	"github.com/mycompose/mycompose/volume"
)

// validName reports whether a name is [a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}. Regular
// expressions would be compiled at the start of every command.
func validName(name string) bool {
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '_' && c != '.' && c != '-') {
			return false
		}
	}
	return name != "" && len(name) <= 200
}

// validID reports whether an id is 64 hex digits.
func validID(id string) bool {
	return len(id) == 64 && strings.Trim(id, "0123456789abcdef") == ""
}

// checkBlueprint refuses what no host could do.
func checkBlueprint(b spec.Blueprint) error {
	var errs []error
	add := func(sentinel error, format string, args ...any) {
		errs = append(errs, spec.Errorf(sentinel, "cannot create container %s: "+format, append([]any{b.Name}, args...)...))
	}
	if !validName(b.Name) {
		add(spec.ErrInvalid, "a name has only [a-zA-Z0-9_.-] and begins with a letter or digit")
	}
	if b.ID != "" && !validID(b.ID) {
		add(spec.ErrInvalid, "an id has 64 hex digits")
	}
	if b.Project != "" && !validName(b.Project) {
		add(spec.ErrInvalid, "bad project name %q", b.Project)
	}
	if r := b.Log.Replica; r != "" && !validName(r) {
		add(spec.ErrInvalid, "bad replica name %q", r)
	}
	switch mode := b.NetworkMode; {
	case mode == "" || mode == modeBridge || mode == modeHost || mode == modeNone:
	case strings.HasPrefix(mode, modeContainer):
	default:
		add(spec.ErrUnsupported, "network mode %q is not built yet", mode)
	}
	switch b.Log.Driver {
	case "", "local", "json-file", "none":
	default:
		add(spec.ErrUnsupported, "log driver %q is not built yet", b.Log.Driver)
	}
	switch b.Restart.Policy {
	case "", spec.RestartNo, spec.RestartAlways, spec.RestartOnFailure, spec.RestartUnlessStopped:
	default:
		add(spec.ErrInvalid, "unknown restart policy %q", b.Restart.Policy)
	}
	if _, err := container.Signal(b.StopSignal); err != nil {
		add(spec.ErrInvalid, "%v", err)
	}
	if b.Health != nil && len(b.Health.Test) > 0 && !b.Health.Disable && b.Health.Test[0] != "NONE" {
		if _, err := container.HealthCommand(b.Health.Test); err != nil {
			add(spec.ErrInvalid, "%v", err)
		}
	}
	for _, m := range b.Mounts {
		if err := checkMount(m); err != nil {
			add(spec.ErrInvalid, "%v", err)
		}
	}
	for _, f := range b.Files {
		if err := checkTarget(f.Target); err != nil {
			add(spec.ErrInvalid, "%v", err)
		}
	}
	for _, p := range b.Ports {
		if _, err := hostAddresses(p); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, checkRights(b))...)
}

// checkRights refuses unknown capabilities, limits and kernel parameters.
func checkRights(b spec.Blueprint) error {
	var errs []error
	for _, list := range [][]string{b.CapAdd, b.CapDrop} {
		for _, name := range list {
			errs = append(errs, invalid(confine.CheckCapability(name)))
		}
	}
	for name := range b.Sysctls {
		errs = append(errs, invalid(confine.CheckSysctl(name, confine.Shared{Network: b.NetworkMode == modeHost, IPC: b.HostIPC, UTS: b.HostUTS})))
	}
	for _, rule := range b.DeviceRules {
		_, err := spec.ParseDeviceRule(rule)
		errs = append(errs, err)
	}
	_, err := confine.Rlimits(b.Ulimits)
	return errors.Join(append(errs, invalid(err))...)
}

func invalid(err error) error {
	if err == nil {
		return nil
	}
	return spec.Errorf(spec.ErrInvalid, "%v", err)
}

func checkMount(m spec.Mount) error {
	if err := checkTarget(m.Target); err != nil {
		return err
	}
	if m.Type == spec.MountBind && !path.IsAbs(m.Source) {
		return spec.Errorf(spec.ErrInvalid, "cannot mount %s: source %q is no absolute path", m.Target, m.Source)
	}
	return invalid(volume.CheckPropagation(m.Propagation))
}

// checkTarget refuses what would hide the container's own /proc, which our
// stage trusts.
func checkTarget(target string) error {
	clean := path.Clean(target)
	if !path.IsAbs(target) || clean == "/" || clean == "/proc" || strings.HasPrefix(clean, "/proc/") {
		return spec.Errorf(spec.ErrInvalid, "cannot mount at %q: it must be an absolute path other than / and /proc", target)
	}
	return nil
}

// checkNeeds refuses a blueprint whose networks are not there.
func (e *Engine) checkNeeds(b spec.Blueprint) error {
	for _, a := range b.Networks {
		if e.bridge(a.Network) == nil && a.Network != spec.SharedNetworkName {
			return spec.Errorf(spec.ErrNotFound, "network %s not found", a.Network)
		}
	}
	for _, owner := range b.NamespaceOwners() {
		if _, err := e.Find(owner); err != nil {
			return err
		}
	}
	return nil
}

// Check says before the first write what cannot be done here.
func (e *Engine) Check(_ context.Context, blueprints []spec.Blueprint, networks []spec.Network, except []string) []error {
	var errs []error
	for _, n := range networks {
		if err := checkNetwork(n); err != nil {
			errs = append(errs, err)
		}
	}
	gone := map[string]bool{}
	for _, id := range except {
		gone[id] = true
	}
	var taken claims
	for _, b := range blueprints {
		if err := checkBlueprint(b); err != nil {
			errs = append(errs, err)
		}
		for _, m := range b.Mounts {
			if err := checkSource(m); err != nil {
				errs = append(errs, err)
			}
		}
		if err := e.nameFree(b, gone); err != nil {
			errs = append(errs, err)
		}
		if err := e.checkOwners(b, blueprints); err != nil {
			errs = append(errs, err)
		}
		if gone[b.ID] {
			errs = append(errs, e.checkAgain(b))
		}
		errs = append(errs, e.checkNetworks(b))
		errs = append(errs, e.checkPorts(b, networks, gone, &taken)...)
	}
	if err := e.upperWorks(); err != nil {
		errs = append(errs, err)
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// checkAgain refuses to stop a container to start it again if a config or secret of
// it is not here any more.
func (e *Engine) checkAgain(b spec.Blueprint) error {
	for _, f := range b.Files {
		if _, err := e.store.Content(f.Digest); err != nil {
			return spec.Errorf(spec.ErrNotFound, "cannot start %s again: what it has at %s is not here any more (%v); `up` brings it", b.Name, f.Target, err)
		}
	}
	return nil
}

// checkOwners refuses to share namespaces or the volumes of a container that
// neither is there nor will be. It may be another project's.
func (e *Engine) checkOwners(b spec.Blueprint, planned []spec.Blueprint) error {
	var errs []error
	check := func(key, word string) {
		if slices.ContainsFunc(planned, func(p spec.Blueprint) bool { return p.Name == word && p.Name != b.Name }) {
			return
		}
		if _, err := e.Find(word); err != nil {
			errs = append(errs, spec.Errorf(spec.ErrNotFound, "cannot create container %s: %s container:%s: %v", b.Name, key, word, err))
		}
	}
	for _, n := range b.Namespaces() {
		if owner := n.Owner(); owner != "" {
			check(n.Key, owner)
		}
	}
	for _, from := range b.VolumesFrom {
		check("volumes_from", from.Container)
	}
	return errors.Join(errs...)
}

// nameFree refuses a name that another container has which stays.
func (e *Engine) nameFree(b spec.Blueprint, gone map[string]bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	owner := e.names[b.Name]
	l := e.lives[owner]
	if l == nil || owner == b.ID || gone[owner] || l.rec.equalBlueprint(b) {
		return nil
	}
	return spec.Errorf(spec.ErrConflict, "cannot create container %s: the name is in use by container %s of project %s; remove or rename that one",
		b.Name, short(owner), l.rec.Blueprint.Project)
}

func checkSource(m spec.Mount) error {
	if m.Type != spec.MountBind || m.CreateHostPath {
		return nil
	}
	if _, err := os.Stat(m.Source); errors.Is(err, fs.ErrNotExist) {
		return spec.Errorf(spec.ErrNotFound, "cannot mount %s: bind source path does not exist: %s", m.Target, m.Source)
	}
	return nil
}

// claims are the fixed ports of the blueprints checked so far.
type claims []claim

type claim struct {
	port spec.Port
	name string
}

// checkPorts looks for fixed host ports that are taken, or wanted twice.
func (e *Engine) checkPorts(b spec.Blueprint, planned []spec.Network, gone map[string]bool, taken *claims) []error {
	var errs []error
	if !bridged(b) {
		return nil
	}
	for _, p := range e.hostPorts(b, planned) {
		addrs, err := hostAddresses(p)
		if err != nil || p.HostPort == 0 || p.HostPortEnd > p.HostPort {
			continue // wrong, said already, or there is a choice
		}
		for _, other := range *taken {
			if slices.ContainsFunc(addrs, func(a netip.Addr) bool {
				return publishes([]spec.Port{other.port}, port.Binding{Protocol: port.Protocol(p.Protocol), Addr: a, Port: p.HostPort})
			}) {
				errs = append(errs, spec.Errorf(spec.ErrPortTaken, "port %d/%s of %s is published by %s too", p.HostPort, p.Protocol, b.Name, other.name))
			}
		}
		*taken = append(*taken, claim{p, b.Name})
		if err := e.portFree(b, p, gone); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// portFree tries to bind a port, for a moment.
func (e *Engine) portFree(b spec.Blueprint, p spec.Port, gone map[string]bool) error {
	addrs, err := hostAddresses(p)
	if err != nil {
		return err
	}
	own, number := map[string]bool{}, p.HostPort
	for id := range gone {
		own[id] = true
	}
	e.mu.Lock()
	if id := e.names[b.Name]; id != "" {
		own[id] = true // it holds its port already
	}
	e.mu.Unlock()
	files := map[string]*os.File{}
	err = bindAll(addrs, p.Protocol, &number, files)
	for _, f := range files {
		f.Close()
	}
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return spec.Errorf(spec.ErrInvalid, "cannot publish port %s of %s: this machine has no address %s; leave it out for all addresses, or name one that it has",
			portText(p), b.Name, p.HostIP)
	}
	if err == nil || isTaken(err) && len(e.passedInTheWay(p.Protocol, p.HostPort, addrs)) > 0 {
		return nil
	}
	return e.nameOwner(err, p, own)
}

// missingImage gives an unknown image its sentinel.
func missingImage(name string, err error) error {
	if errors.Is(err, image.ErrNotFound) {
		return spec.Errorf(spec.ErrImageMissing, "No such image: %s", name)
	}
	return err
}
