package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// makeImage lays one root file system for all: busybox with its applets, the
// load program, and an nginx-like page. It packs it as a tar for import, and
// makes a bundle of it for runc and crun.
func (b *bench) makeImage() error {
	root := filepath.Join(b.bundle, "rootfs")
	for _, dir := range []string{"bin", "proc", "dev", "sys", "etc", "tmp", "www"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return errors.New("busybox is missing: run make setup")
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return err
	}
	if err := shell("cp "+busybox+" "+root+"/bin/busybox", "cp "+b.load+" "+root+"/bin/load"); err != nil {
		return err
	}
	for applet := range strings.FieldsSeq(string(applets)) {
		err := os.Link(filepath.Join(root, "bin/busybox"), filepath.Join(root, "bin", applet))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	users := []byte("root:x:0:0:root:/root:/bin/sh\n")
	if err := errors.Join(os.WriteFile(root+"/etc/passwd", users, 0o644), os.WriteFile(root+"/www/index.html", []byte("hello\n"), 0o644)); err != nil {
		return err
	}
	return errors.Join(shell("tar -C "+root+" -cf "+b.image+" ."), writeBundle(b.bundle))
}

// writeBundle writes runc's default configuration with `true` as its process.
func writeBundle(dir string) error {
	command := exec.Command("runc", "spec")
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot write a runc bundle: %w: %s", err, out)
	}
	path := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return err
	}
	process, ok := config["process"].(map[string]any)
	if !ok {
		return errors.New("runc spec writes no process")
	}
	process["args"], process["terminal"] = []string{"/bin/true"}, false
	delete(process, "rlimits") // needs CAP_SYS_RESOURCE
	if raw, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o644)
}
