package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// tool is a command line that is measured: mycompose or a peer.
type tool struct {
	name    string
	version string
	program string
	// before are words that stand before those of each call.
	before []string
	env    []string
	// extra are the flags that its `run` needs on this machine.
	extra []string
	world *world
}

// run times one command from its start to its end. Its output is kept only
// for the error.
func (t *tool) run(dir string, args ...string) (time.Duration, error) {
	_, took, err := t.call(dir, nil, args...)
	return took, err
}

// output is what a command wrote to its standard output.
func (t *tool) output(dir string, args ...string) (string, error) {
	out, _, err := t.call(dir, nil, args...)
	return out, err
}

// into is run with the standard output going to a file that is thrown away, as
// a shell's redirection does.
func (t *tool) into(dir string, args ...string) (time.Duration, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	_, took, err := t.call(dir, null, args...)
	return took, err
}

// streams is what a command wrote to its standard output and error.
func (t *tool) streams(dir string, args ...string) (out, errs string, err error) {
	out, errs, _, err = t.whole(dir, nil, args...)
	return out, errs, err
}

func (t *tool) call(dir string, stdout *os.File, args ...string) (string, time.Duration, error) {
	out, _, took, err := t.whole(dir, stdout, args...)
	return out, took, err
}

func (t *tool) whole(dir string, stdout *os.File, args ...string) (string, string, time.Duration, error) {
	command := exec.Command(t.program, append(append([]string{}, t.before...), args...)...)
	command.Dir, command.Env = dir, t.env
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if stdout != nil {
		command.Stdout = stdout
	}
	var took time.Duration
	work := func() error {
		began := time.Now()
		err := command.Run()
		took = time.Since(began)
		return err
	}
	var err error
	if t.world != nil {
		err = t.world.do(work)
	} else {
		err = work()
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", t.name, strings.Join(args, " "), err, lastLines(out.String()+errs.String()))
	}
	return out.String(), errs.String(), took, err
}

// runtimeTool is runc or crun, which run a bundle; nil where it is missing.
func runtimeTool(name, bundle string) (*tool, error) {
	program, err := exec.LookPath(name)
	if err != nil {
		return nil, nil
	}
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	w.dropUnified()
	t := &tool{name: name + " run", program: program, world: w, version: firstLine(program, "--version")}
	t.before = []string{"--root", filepath.Join(filepath.Dir(bundle), name)}
	return t, nil
}

// runBundle times a container of the bundle from create to gone.
func (b *bench) runBundle(t *tool) (time.Duration, error) {
	b.runs++
	return t.run(b.bundle, "run", fmt.Sprintf("mc-bench-%d-%d", os.Getpid(), b.runs))
}

// firstLine is the first line that a command writes, "" if it fails.
func firstLine(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// mycompose is what is measured: bin/mycompose with a state folder of its own.
func (b *bench) mycompose() (*tool, error) {
	program, err := filepath.Abs("bin/mycompose")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, errors.New("bin/mycompose is missing: run make build")
	}
	w, err := newWorld("/run/mycompose")
	if err != nil {
		return nil, err
	}
	return &tool{
		name: "mycompose", program: program, world: w, version: "mycompose " + strings.TrimPrefix(firstLine(program, "version", "--short"), "v"),
		env: append(kerneltest.WithoutOurs(os.Environ()), "MYCOMPOSE_STATE_DIR="+b.state, "NO_COLOR=1"),
	}, nil
}

// runImage times a container of the imported image from run to removed.
func (b *bench) runImage(t *tool, command ...string) (time.Duration, error) {
	args := append([]string{"run", "--rm"}, t.extra...)
	return t.run(b.work, append(append(args, "busybox"), command...)...)
}

// lastLines are the three last lines of a text, where a tool says what failed.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "\n")
}
