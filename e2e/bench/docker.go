package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mycompose/mycompose/e2e/resident"
)

// dockerd is a Docker engine with folders, a socket, namespaces and a cgroup
// of its own. It is ended by its pid, and nothing of it stays.
type dockerd struct {
	dir    string
	world  *world
	daemon *exec.Cmd
	log    *os.File
	// docker and compose are its two command lines. compose is nil where
	// make peers has not built it.
	docker, compose *tool
}

// parent is the cgroup below which its containers are.
func (d *dockerd) parent() string { return "/mc-bench-" + filepath.Base(filepath.Dir(d.dir)) }

// newDockerd starts one below dir; nil where Docker is not installed.
func newDockerd(dir, compose string) (*dockerd, error) {
	program, err := exec.LookPath("dockerd")
	client := "/usr/bin/docker" // Debian's, of the same version
	if _, none := os.Stat(client); err != nil || none != nil {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	w, err := newWorld("/run/docker")
	if err != nil {
		return nil, err
	}
	d := &dockerd{dir: dir, world: w}
	socket := "unix://" + filepath.Join(dir, "docker.sock")
	env := append(os.Environ(), "DOCKER_HOST="+socket, "DOCKER_CONFIG="+dir, "NO_COLOR=1")
	d.docker = &tool{name: "docker run", program: client, world: w, env: env}
	if err := d.start(program, socket); err != nil {
		return nil, errors.Join(err, d.end())
	}
	server, err := d.docker.output(dir, "version", "--format", "{{.Server.Version}}")
	if err != nil {
		return nil, errors.Join(err, d.end())
	}
	d.docker.version = "dockerd " + strings.TrimSpace(server)
	if version := firstLine(compose, "version", "--short"); version != "" {
		d.compose = &tool{name: "docker compose", program: compose, world: w, env: env, version: "docker compose " + version}
	}
	return d, nil
}

func (d *dockerd) start(program, socket string) error {
	var err error
	if d.log, err = os.Create(filepath.Join(d.dir, "log")); err != nil {
		return err
	}
	d.daemon = exec.Command(program, "--data-root", filepath.Join(d.dir, "data"), "--exec-root", filepath.Join(d.dir, "exec"),
		"--pidfile", filepath.Join(d.dir, "pid"), "-H", socket, "--cgroup-parent", d.parent())
	d.daemon.Stdout, d.daemon.Stderr = d.log, d.log
	if err := d.world.do(d.daemon.Start); err != nil {
		return fmt.Errorf("cannot start dockerd: %w", err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		_, err := d.docker.run(d.dir, "version")
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("dockerd does not answer, see %s: %w", d.log.Name(), err)
		}
	}
}

// end stops its containers, the daemon, and what may be left of either.
func (d *dockerd) end() error {
	if d == nil {
		return nil
	}
	var err error
	if d.daemon != nil && d.daemon.Process != nil {
		if ids, _ := d.docker.output(d.dir, "ps", "-aq"); strings.TrimSpace(ids) != "" {
			_, err = d.docker.run(d.dir, append([]string{"rm", "-f"}, strings.Fields(ids)...)...)
		}
		err = errors.Join(err, d.daemon.Process.Signal(syscall.SIGTERM))
		_ = d.daemon.Wait() // its exit code says nothing that its log does not
	}
	if d.log != nil {
		d.log.Close()
	}
	for _, pid := range resident.Naming(d.dir) { // shims that lost their daemon
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
	d.world.end()
	return errors.Join(err, removeGroups(d.parent()))
}

// removeGroups ends what is left in cgroups of a name, in every hierarchy, and
// removes them with those below.
func removeGroups(name string) error {
	found, err := filepath.Glob("/sys/fs/cgroup/*" + name)
	if err != nil {
		return err
	}
	var groups []string
	for _, top := range append(found, "/sys/fs/cgroup"+name) {
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
	}
	slices.Reverse(groups) // children before their parents
	for _, group := range groups {
		raw, _ := os.ReadFile(group + "/cgroup.procs")
		for word := range strings.FieldsSeq(string(raw)) {
			if pid, e := strconv.Atoi(word); e == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		e := os.Remove(group)
		for end := time.Now().Add(5 * time.Second); e != nil && time.Now().Before(end); e = os.Remove(group) {
			if errors.Is(e, fs.ErrNotExist) {
				e = nil
				break
			}
			time.Sleep(10 * time.Millisecond) // its processes end
		}
		if e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// memory is the private memory of daemon, containerd, shims and proxies.
func (d *dockerd) memory() float64 {
	kib := 0
	for _, pid := range resident.Naming(d.dir) {
		kib += resident.PrivateKiB(pid)
	}
	return float64(kib) / 1024
}

// podmanTool is podman with folders of its own; nil where it is missing. The
// image that it runs is imported.
func podmanTool(dir, image string) (*tool, error) {
	program, err := exec.LookPath("podman")
	if err != nil {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	w, err := newWorld("/run/libpod", "/run/containers", "/var/lib/cni", "/etc/cni/net.d")
	if err != nil {
		return nil, err
	}
	w.dropUnified()
	t := &tool{name: "podman run", program: program, world: w, env: os.Environ(), version: firstLine(program, "--version")}
	t.before = []string{
		"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"),
		"--tmpdir", filepath.Join(dir, "tmp"), "--cgroup-manager", "cgroupfs",
	}
	// Its own defaults need CAP_SYS_RESOURCE.
	t.extra = []string{"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"}
	if _, err := t.run(dir, "import", image, "busybox"); err != nil {
		w.end()
		return nil, err
	}
	return t, nil
}
