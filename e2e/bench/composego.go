package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadWord has this program load the project of a folder with compose-go, and do
// nothing else.
const loadWord = "compose-go"

func loadAlone(dir string) error {
	file := filepath.Join(dir, "compose.yaml")
	_, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir: dir, ConfigFiles: []types.ConfigFile{{Filename: file}}, Environment: types.Mapping{},
	}, func(o *loader.Options) {
		o.SetProjectName("alone", true)
		// Which tools may do in another way.
		o.SkipValidation, o.SkipConsistencyCheck, o.SkipResolveEnvironment, o.SkipResolveLabels = true, true, true, true
	})
	return err
}

// floorOfLoad notes what that takes, as a command of its own: what no tool that is
// built on compose-go can be faster than.
func (b *bench) floorOfLoad(r *row, dir string) error {
	if r == nil {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	began := time.Now()
	if out, err := exec.Command(self, loadWord, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("compose-go alone: %w: %s", err, out)
	}
	r.floor.add(float64(time.Since(began).Microseconds()) / 1000)
	return nil
}
