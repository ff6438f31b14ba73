package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const registryPort = 5000

// goSource is the folder of the Go toolchain's own source, a tree of many files that
// is there.
func goSource() (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the source of Go: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src"), nil
}

// pull measures a pull with unpacking; the image is removed in between.
func (b *bench) pull(rows map[string]*row) error {
	source, err := goSource()
	if err != nil {
		return err
	}
	folders := []string{"cmd/compile", "cmd/internal", "crypto", "net", "runtime"}
	for i := range folders {
		folders[i] = filepath.Join(source, folders[i])
	}
	if err := pushSource(b.work, folders); err != nil {
		return err
	}
	image := fmt.Sprintf("127.0.0.1:%d/bench/source:1", registryPort)
	dir, err := b.project("pull", "services:\n  app:\n    image: "+image+"\n")
	if err != nil {
		return err
	}
	for _, t := range b.both() {
		r, err := startRegistry(b.work, t.world, registryPort)
		defer r.end()
		if err != nil {
			return err
		}
	}
	for range b.rounds(5) {
		for _, t := range b.both() {
			if err := timed(rows["pull"], t, dir, "pull", "-q"); err != nil {
				return err
			}
			if err := b.removeImage(t, image); err != nil {
				return err
			}
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) removeImage(t *tool, image string) error {
	var err error
	if t == b.ours {
		_, err = t.run(b.work, "image", "rm", image)
	} else {
		_, err = b.docker.run(b.work, "rmi", image)
	}
	return err
}

// build measures a build without any cache, and again with all of it. Docker's
// stands for the peer's, which wants a plugin for what Docker does itself.
func (b *bench) build(rows map[string]*row) error {
	dir, err := b.project("build", "services:\n  app:\n    image: bench/built\n    build: .\n")
	if err != nil {
		return err
	}
	const recipe = `FROM busybox
COPY src /src
RUN find /src -type f | wc -l > /count
RUN tar -cf /src.tar -C /src net
RUN sha256sum /src.tar > /sum
CMD ["cat", "/sum"]
`
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(recipe), 0o644); err != nil {
		return err
	}
	source, err := goSource()
	if err != nil {
		return err
	}
	if err := shell("mkdir -p "+dir+"/src", "cp -a "+source+"/net "+source+"/crypto "+source+"/runtime "+source+"/internal "+dir+"/src"); err != nil {
		return err
	}
	peer := b.docker
	if peer != nil {
		kit := *peer
		kit.name, kit.env = "docker build", append(kit.env[:len(kit.env):len(kit.env)], "DOCKER_BUILDKIT=1")
		peer = &kit
	}
	for range b.rounds(4) {
		for _, x := range []struct {
			row   *row
			flags []string
		}{{rows["build"], []string{"--no-cache"}}, {rows["build-cached"], nil}} {
			if err := timed(x.row, b.ours, dir, append([]string{"build", "-q"}, x.flags...)...); err != nil {
				return err
			}
			if peer == nil {
				continue
			}
			if err := timed(x.row, peer, dir, append(append([]string{"build", "-q", "-t", "bench/built"}, x.flags...), ".")...); err != nil {
				return err
			}
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	return nil
}
