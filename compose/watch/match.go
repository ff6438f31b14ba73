package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Matcher holds patterns of the .dockerignore form, negations included, and
// says as a build does which paths they match. Its methods may be called by
// many goroutines.
type Matcher struct {
	base     string // the folder that patterns begin at
	patterns []pattern

	mu      sync.Mutex // guards what follows: it compiles patterns at their first use
	matcher *patternmatcher.PatternMatcher
	folders map[string]verdict // what was found of folders
}

// verdict is what the patterns say of a folder, and for what is below it.
type verdict struct {
	matched bool
	info    patternmatcher.MatchInfo
}

// maxFolders bounds what is remembered.
const maxFolders = 4096

// pattern is one pattern and where it stands.
type pattern struct{ text, origin string }

// NewMatcher compiles patterns that begin at the absolute folder base. origin
// says where the i-th stands.
func NewMatcher(base string, patterns []string, origin func(i int) string) (*Matcher, error) {
	m := &Matcher{base: filepath.Clean(base)}
	var texts []string
	for i, text := range patterns {
		if strings.TrimSpace(text) == "" {
			continue
		}
		m.patterns = append(m.patterns, pattern{text, origin(i)})
		texts = append(texts, clean(text))
	}
	var err error
	if m.matcher, err = compile(texts); err != nil {
		return nil, err
	}
	return m, nil
}

// clean writes a pattern as ignorefile does for those of a file: "/x" is "x".
func clean(text string) string {
	text = strings.TrimSpace(text)
	negation := ""
	if rest, ok := strings.CutPrefix(text, "!"); ok {
		negation, text = "!", strings.TrimSpace(rest)
	}
	if text == "" {
		return negation
	}
	text = filepath.ToSlash(filepath.Clean(text))
	if len(text) > 1 {
		text = strings.TrimPrefix(text, "/")
	}
	return negation + text
}

// compile also finds out what only shows at the first match.
func compile(texts []string) (*patternmatcher.PatternMatcher, error) {
	for _, text := range texts {
		one, err := patternmatcher.New([]string{strings.TrimPrefix(text, "!")})
		if err == nil {
			_, err = one.MatchesOrParentMatches("x")
		}
		if err != nil || text == "!" {
			return nil, fmt.Errorf("cannot read pattern %q: %w", text, orBad(err))
		}
	}
	return patternmatcher.New(texts)
}

func orBad(err error) error {
	if err == nil {
		return filepath.ErrBadPattern
	}
	return err
}

// CheckPattern reports what is wrong with a pattern.
func CheckPattern(text string) error {
	_, err := compile([]string{clean(text)})
	return err
}

// relative is the path as patterns see it; "" for what is not below base.
func (m *Matcher) relative(file string) string {
	rel, err := filepath.Rel(m.base, file)
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
		return ""
	}
	return rel
}

// Match reports whether an absolute path is matched. Nothing matches base
// itself, nor what lies outside of it.
func (m *Matcher) Match(file string) bool {
	rel := m.relative(file)
	if len(m.patterns) == 0 || rel == "" {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	above := m.folder(path.Dir(rel))
	matched, _, err := m.matcher.MatchesUsingParentResults(rel, above.info)
	return err == nil && matched // compile has tried each pattern
}

// folder is the verdict over a folder, made from that over the one above it as
// a build does while it walks. mu is held.
func (m *Matcher) folder(rel string) verdict {
	if rel == "." {
		return verdict{}
	}
	if v, ok := m.folders[rel]; ok {
		return v
	}
	var v verdict
	// compile has tried each pattern: no error is left.
	v.matched, v.info, _ = m.matcher.MatchesUsingParentResults(rel, m.folder(path.Dir(rel)).info)
	if m.folders == nil || len(m.folders) > maxFolders {
		m.folders = map[string]verdict{}
	}
	m.folders[rel] = v
	return v
}

// Prunes reports whether the folder dir is matched and nothing below it can be
// an exception.
func (m *Matcher) Prunes(dir string) bool {
	if !m.Match(dir) {
		return false
	}
	below := m.relative(dir) + "/"
	for _, p := range m.matcher.Patterns() {
		if !p.Exclusion() {
			continue
		}
		literal := literalPart(p.String()) + "/"
		if strings.HasPrefix(literal, below) || literal != p.String()+"/" && strings.HasPrefix(below, strings.TrimPrefix(literal, "/")) {
			return false
		}
	}
	return true
}

// literalPart is what of a pattern stands before the first wildcard, in whole
// elements.
func literalPart(text string) string {
	at := strings.IndexAny(text, `*[]?^\`)
	if at < 0 {
		return text
	}
	return strings.TrimSuffix(text[:strings.LastIndex(text[:at], "/")+1], "/")
}

// Decider names the pattern that decides over a path, and where it stands; ""
// if none matches.
func (m *Matcher) Decider(file string) (text, origin string) {
	rel := m.relative(file)
	if rel == "" {
		return "", ""
	}
	texts := make([]string, len(m.patterns))
	for i, p := range m.patterns {
		texts[i] = clean(p.text)
	}
	matches := func(n int) bool {
		some, err := patternmatcher.New(texts[:n])
		return err == nil && (&Matcher{base: m.base, patterns: m.patterns[:n], matcher: some}).Match(file)
	}
	for n := len(texts); n > 0; n-- {
		if matches(n) != matches(n-1) {
			return m.patterns[n-1].text, m.patterns[n-1].origin
		}
	}
	return "", ""
}

// keeps reports whether a negation, `!pattern`, is what decides over a path.
func (m *Matcher) keeps(file string) bool {
	text, _ := m.Decider(file)
	return strings.HasPrefix(text, "!")
}

// ReadIgnoreFile reads the patterns that hold for a build: those of
// <Dockerfile>.dockerignore, else of .dockerignore in the context. With neither
// there are none.
func ReadIgnoreFile(context, dockerfile string) (*Matcher, error) {
	candidates := []string{filepath.Join(context, ".dockerignore")}
	if dockerfile != "" {
		if !filepath.IsAbs(dockerfile) {
			dockerfile = filepath.Join(context, dockerfile)
		}
		candidates = append([]string{dockerfile + ".dockerignore"}, candidates...)
	}
	for _, file := range candidates {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read ignore file: %w", err)
		}
		texts, err := ignorefile.ReadAll(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", file, err)
		}
		return NewMatcher(context, texts, func(int) string { return file })
	}
	return nil, nil
}

// temporary are files that editors and tools write beside what is saved. They
// are no changes of a project, as for docker compose.
var temporary = [...]string{
	"**/.git", "**/.#*", "**/#*#", "**/4913", "**/*~", "**/.*.sw?", "**/.*.sw??", "**/*.kate-swp",
	"**/.goutputstream-*", "**/*___jb_old___", "**/*___jb_tmp___", "**/.idea", "**/.mycompose-sync*",
}

// temporaries matches what editors write beside what they save, and .git.
func temporaries(base string) (*Matcher, error) {
	return NewMatcher(base, temporary[:], func(int) string { return "the built-in list" })
}

// under reports whether file is dir or lies below it.
func under(file, dir string) bool {
	return file == dir || strings.HasPrefix(file, strings.TrimSuffix(dir, "/")+"/")
}

// inContainer joins a rule's target with a relative path.
func inContainer(target, rel string) string { return path.Join("/", target, filepath.ToSlash(rel)) }
