package load

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// caseOptions are the options of a folder in testdata: its options.json, if any.
func caseOptions(t *testing.T, dir string) Options {
	t.Helper()
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Dir: abs, Env: map[string]string{"HOST_VARIABLE": "from-host"}}
	data, err := os.ReadFile(filepath.Join(dir, "options.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return opts
	}
	if err == nil {
		err = json.Unmarshal(data, &opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	opts.Dir = abs
	return opts
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}

// tree lists every path below a folder with size and mode.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(path + " " + info.Mode().String() + " " + info.ModTime().String() + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrongFilesGiveTheirErrorLines(t *testing.T) {
	dirs, err := filepath.Glob("testdata/wrong/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no cases", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			opts := caseOptions(t, dir)
			before := tree(t, dir)
			_, err := Load(context.Background(), opts)
			if err == nil {
				t.Fatal("no error")
			}
			if after := tree(t, dir); before != after {
				t.Errorf("the folder changed:\n%s\n%s", before, after)
			}
			text := strings.ReplaceAll(err.Error(), opts.Dir, "DIR") + "\n"
			golden(t, filepath.Join(dir, "want.txt"), text)
		})
	}
}

func TestRightFilesGiveTheirModel(t *testing.T) {
	dirs, err := filepath.Glob("testdata/right/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no cases", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			opts := caseOptions(t, dir)
			t.Setenv("HOME", "/home/user")
			r, err := Load(context.Background(), opts)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for _, w := range r.Warnings {
				text.WriteString("warning: " + w + "\n")
			}
			if filepath.Base(dir) != "flask-redis" { // others are edited often
				withoutPlaces(r.Project)
			}
			data, err := json.MarshalIndent(r.Project, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			text.Write(data)
			text.WriteString("\n")
			got := strings.ReplaceAll(text.String(), opts.Dir, "DIR")
			golden(t, filepath.Join(dir, "want.json"), strings.ReplaceAll(got, filepath.Dir(opts.Dir), "PARENT"))
		})
	}
}

// read returns a file's content.
func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
