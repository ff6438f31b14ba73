package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// bench is a mycompose with a state folder of its own and a runc bundle.
type bench struct {
	binary, state, work string
	env                 []string
}

func newBench() (*bench, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("needs root")
	}
	binary, err := filepath.Abs("bin/mycompose")
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("/var/tmp", "mc-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{binary: binary, state: filepath.Join(work, "state"), work: work}
	b.env = append(os.Environ(), "MYCOMPOSE_STATE_DIR="+b.state)
	image, err := b.rootFS()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(work))
	}
	if _, err := b.mycompose(work, "image", "import", image, "busybox"); err != nil {
		return nil, errors.Join(err, os.RemoveAll(work))
	}
	return b, nil
}

func (b *bench) end() {
	for _, n := range []int{1, 10, 50} {
		b.mycompose(b.work, "-p", fmt.Sprintf("bench%d", n), "down", "-v")
	}
	b.mycompose(b.work, "system", "stop", "--all")
	os.RemoveAll(b.work)
}

// rootFS lays a busybox tree for runc and packs the same as a tar for import.
func (b *bench) rootFS() (string, error) {
	root := filepath.Join(b.work, "bundle", "rootfs")
	for _, dir := range []string{"bin", "proc", "dev", "sys", "etc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return "", err
		}
	}
	program, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.work, "image.tar")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	for _, name := range []string{"sh", "true", "sleep", "busybox"} {
		if err := os.WriteFile(filepath.Join(root, "bin", name), content, 0o755); err != nil {
			return "", err
		}
		if err := w.WriteHeader(&tar.Header{Name: "bin/" + name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return "", err
		}
		if _, err := w.Write(content); err != nil {
			return "", err
		}
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return path, b.bundle()
}

// bundle is runc's default one, with `true` as its process.
func (b *bench) bundle() error {
	dir := filepath.Join(b.work, "bundle")
	cmd := exec.Command("runc", "spec")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot write a runc bundle: %w: %s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return err
	}
	process := config["process"].(map[string]any)
	process["args"], process["terminal"] = []string{"/bin/true"}, false
	delete(process, "rlimits") // needs CAP_SYS_RESOURCE
	raw, err = json.Marshal(config)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o644)
}

// runc times one `runc run` of the bundle.
func (b *bench) runc(r *row) error {
	cmd := exec.Command("runc", "run", "mc-bench-"+strconv.Itoa(os.Getpid()))
	cmd.Dir = filepath.Join(b.work, "bundle")
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("runc run: %w: %s", err, out)
	}
	r.times = append(r.times, time.Since(began))
	return nil
}

// mycompose times one command.
func (b *bench) mycompose(dir string, args ...string) (time.Duration, error) {
	cmd := exec.Command(b.binary, args...)
	cmd.Dir, cmd.Env = dir, b.env
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return took, fmt.Errorf("mycompose %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return took, nil
}
