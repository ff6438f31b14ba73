package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckNameRefusesWhatIsNoPlainName(t *testing.T) {
	for name, ok := range map[string]bool{
		"shop_data": true, "a": true, "9.x-y": true,
		"": false, ".": false, "..": false, "../x": false, "a/b": false, "-rf": false, "_data": false,
		"a\n": false, "é": false, strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestCreateIsRepeatableAndRemoveForgives(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "volumes", "v")
	for range 2 {
		if err := Create(dir, ""); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := List(filepath.Dir(dir)); err != nil || len(names) != 1 || names[0] != "v" {
		t.Fatalf("listed %v, %v", names, err)
	}
	for range 2 {
		if err := Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("still there: %v", err)
	}
}

func TestFill(t *testing.T) {
	write := func(folder string) error {
		return os.WriteFile(filepath.Join(folder, "from-image"), nil, 0o600)
	}
	broken := errors.New("disk is full")
	for _, c := range []struct {
		name   string
		before string // a file that is there already
		half   bool   // an earlier fill died
		copyTo func(string) error
		want   []string
		err    error
	}{
		{"an empty volume takes the content", "", false, write, []string{"from-image"}, nil},
		{"a used volume keeps its own", "own", false, write, []string{"own"}, nil},
		{"a fill that died is done again", "", true, write, []string{"from-image"}, nil},
		{"a fill that fails leaves nothing", "", false, func(f string) error { return errors.Join(write(f), broken) }, nil, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "v")
			if err := Create(dir, ""); err != nil {
				t.Fatal(err)
			}
			if c.before != "" {
				if err := os.WriteFile(filepath.Join(Data(dir), c.before), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.half {
				if err := os.MkdirAll(filepath.Join(dir, fillName, "half"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := Fill(dir, c.copyTo); !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			entries, err := os.ReadDir(Data(dir))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range entries {
				got = append(got, e.Name())
			}
			if strings.Join(got, " ") != strings.Join(c.want, " ") {
				t.Errorf("holds %v, want %v", got, c.want)
			}
			if _, err := os.Stat(filepath.Join(dir, fillName)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("left %s: %v", fillName, err)
			}
		})
	}
}

func TestPropagationWords(t *testing.T) {
	for _, word := range []string{"", "rprivate", "private", "rslave", "slave", "rshared", "shared"} {
		if err := CheckPropagation(word); err != nil {
			t.Errorf("%q: %v", word, err)
		}
	}
	if CheckPropagation("z") == nil {
		t.Error("an unknown word was accepted")
	}
}
