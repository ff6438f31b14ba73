package load

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzLoad: no input makes the loader panic, loop, or return nothing at all.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*/*.yaml", "testdata/*/*/*.yml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			f.Add(read(f, path))
		}
	}
	f.Add([]byte("a: &a [*a, {<<: *a}]\n"))
	f.Add([]byte("services: {web: {image: ${A:-${B:+c}}}}\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		// Included and extended files would be read from the disk.
		if bytes.Contains(data, []byte("/")) && bytes.Contains(data, []byte("file")) {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		r, err := Load(ctx, Options{Dir: dir, Files: []string{"-"}, Stdin: bytes.NewReader(data), Env: map[string]string{"A": "1"}})
		if err == nil && r.Project == nil {
			t.Error("neither project nor error")
		}
		if err != nil && strings.Contains(err.Error(), "cannot merge:") {
			t.Errorf("the merge library panicked: %v", err)
		}
	})
}

// FuzzValues: no text makes a value check panic.
func FuzzValues(f *testing.F) {
	for _, text := range []string{"", "80:80/udp", "1.5g", "1h30m", "0-3,5", "a:/b:ro", "/t:size=1m,mode=17", "h=1.2.3.4", "on-failure:3", "::1", "10.0.0.0/8"} {
		f.Add(text)
	}
	checks := valueChecks()
	f.Fuzz(func(t *testing.T, text string) {
		for pattern, check := range checks {
			if wrong, right := check(text); wrong != "" && right == "" {
				t.Errorf("%s: %q is wrong (%s), and nothing says what is right", pattern, text, wrong)
			}
		}
	})
}

func TestHostileAliasesEndInAnError(t *testing.T) {
	var b strings.Builder
	b.WriteString("x-0: &l0 [a, b, c, d, e, f, g, h, i]\n")
	for i := 1; i < 9; i++ {
		before := string(rune('0' + i - 1))
		b.WriteString("x-" + string(rune('0'+i)) + ": &l" + string(rune('0'+i)) + " [" +
			strings.Repeat("*l"+before+", ", 8) + "*l" + before + "]\n")
	}
	b.WriteString(oneService)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(context.Background(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "aliases of this file unfold") {
		t.Errorf("got %v", err)
	}
}
