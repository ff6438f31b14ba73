package watch

import (
	"context"
	"fmt"
	gofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tonistiigi/fsutil"

	"github.com/mycompose/mycompose/compose/model"
)

func matcher(t *testing.T, base string, patterns ...string) *Matcher {
	t.Helper()
	m, err := NewMatcher(base, patterns, func(i int) string { return fmt.Sprintf("line %d", i+1) })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPatternsMatchAsInABuild(t *testing.T) {
	for _, c := range []struct {
		patterns       []string
		matched, other string
	}{
		{[]string{"*.log"}, "a.log", "sub/a.log a.txt"},
		{[]string{"**/*.log"}, "a.log sub/a.log", "a.txt"},
		{[]string{"node_modules/"}, "node_modules node_modules/x/y", "sub/node_modules"},
		{[]string{"/dist"}, "dist dist/x", "sub/dist"},
		{[]string{"*", "!src"}, "a b/c", "src src/x"},
		{[]string{"**", "!src/**/*.py"}, "a src/x.js", "src/x.py src/y/z.py"},
		{[]string{"tmp", "!tmp/keep"}, "tmp tmp/x", "tmp/keep tmp/keep/x"},
		{[]string{"a?c", "", " b "}, "abc b", "ac"},
	} {
		m := matcher(t, "/base", c.patterns...)
		for _, name := range strings.Fields(c.matched) {
			if !m.Match("/base/" + name) {
				t.Errorf("%q does not match %s", c.patterns, name)
			}
		}
		for _, name := range append(strings.Fields(c.other), "../x") {
			if m.Match("/base/" + name) {
				t.Errorf("%q matches %s", c.patterns, name)
			}
		}
		if m.Match("/base") || m.Match("/elsewhere/a.log") {
			t.Errorf("%q matches what is not below its base", c.patterns)
		}
	}
}

func TestTheDecidingPatternIsNamed(t *testing.T) {
	m := matcher(t, "/b", "*", "!src", "src/*.log")
	for name, want := range map[string]string{"x": "* line 1", "src/a": "!src line 2", "src/a.log": "src/*.log line 3"} {
		text, origin := m.Decider("/b/" + name)
		if got := text + " " + origin; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestWrongPatternsAreRefused(t *testing.T) {
	for _, text := range []string{"[", "a[", "!", "!["} {
		if err := CheckPattern(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for _, text := range []string{"a", "!a", "**/*.go", "/x/"} {
		if err := CheckPattern(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The files that are left are those that a build would send, for any patterns;
// and no folder is pruned that holds one of them.
func TestTheFilterEqualsThatOfABuild(t *testing.T) {
	dir := t.TempDir()
	names := []string{"a", "b", "c.log", "d.py"}
	var all []string
	for _, x := range names {
		for _, y := range names {
			for _, z := range names {
				path := filepath.Join("dir"+x, "dir"+y, z)
				all = append(all, path, filepath.Join("dir"+x, z), z)
				if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755); err != nil {
					t.Fatal(err)
				}
				for _, p := range all[len(all)-3:] {
					if err := os.WriteFile(filepath.Join(dir, p), nil, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	pieces := []string{"*", "**", "dira", "dir*", "*.log", "d.py", "a", "**/b", "**/*.py", "dirb/"}
	random := rand.New(rand.NewPCG(1, 2))
	root, err := fsutil.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 400 {
		var patterns []string
		for range 1 + random.IntN(4) {
			var parts []string
			for range 1 + random.IntN(3) {
				parts = append(parts, pieces[random.IntN(len(pieces))])
			}
			pattern := strings.Join(parts, "/")
			if random.IntN(3) == 0 {
				pattern = "!" + pattern
			}
			patterns = append(patterns, pattern)
		}
		var cleaned []string
		for _, p := range patterns {
			cleaned = append(cleaned, clean(p))
		}
		want := sent(t, root, cleaned)
		m := matcher(t, dir, patterns...)
		if got := kept(t, dir, m, false); !slices.Equal(got, want) {
			t.Fatalf("%q: left are %v, a build sends %v", patterns, got, want)
		}
		if got := kept(t, dir, m, true); !slices.Equal(got, want) {
			t.Fatalf("%q: with pruning left are %v, a build sends %v", patterns, got, want)
		}
	}
}

// sent are the files that BuildKit takes from a context.
func sent(t *testing.T, root fsutil.FS, patterns []string) (out []string) {
	t.Helper()
	filtered, err := fsutil.NewFilterFS(root, &fsutil.FilterOpt{ExcludePatterns: patterns})
	if err != nil {
		t.Fatal(err)
	}
	err = filtered.Walk(context.Background(), "", func(path string, entry gofs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func kept(t *testing.T, dir string, m *Matcher, prune bool) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry gofs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if prune && m.Prunes(path) {
				return filepath.SkipDir
			}
		case !m.Match(path):
			rel, err := filepath.Rel(dir, path)
			out = append(out, rel)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func TestAnExplanationNamesTheNegationThatKeeps(t *testing.T) {
	s := newStand(t, syncRule(func(r *model.WatchRule) { r.Ignore = []string{"*.log", "!keep.log"} }))
	s.start()
	for name, want := range map[string]Reason{
		"src/keep.log": {"it lies in " + s.path("src") + " and is kept", "!keep.log", "services.web.develop.watch[0].ignore[1]"},
		"src/x.log":    {"it is ignored", "*.log", "services.web.develop.watch[0].ignore[0]"},
		"src/a.py":     {"it lies in " + s.path("src"), "", ""},
	} {
		if got := s.session.Explain(s.path(name))[0].Reason; got != want {
			t.Errorf("%s: %+v, not %+v", name, got, want)
		}
	}
}
