package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mycompose/mycompose/"

// layers is e2e/layers.txt, read.
type layers struct {
	row         map[string]int
	only        map[string][]string // package → its only importers
	composeMay  []string
	everybody   []string // whom every room may import
	smallFreeOf []string
}

func TestImportsGoToALowerRowOnly(t *testing.T) {
	house := readLayers(t)
	for name, imports := range listImports(t) {
		row, known := house.row[name]
		if !known {
			t.Errorf("%s stands in no row of layers.txt", name)
			continue
		}
		for _, imported := range imports {
			for _, mistake := range house.check(name, row, imported) {
				t.Error(mistake)
			}
		}
	}
}

func (l layers) check(name string, row int, imported string) (mistakes []string) {
	lower, known := l.row[imported]
	if slices.Contains(l.everybody, imported) {
		return nil
	}
	family := strings.HasPrefix(imported, name+"/") || strings.HasPrefix(name, imported+"/") // network and its rooms
	if known && lower >= row && !(family && lower < row) {
		mistakes = append(mistakes, fmt.Sprintf("%s (row %d) imports %s (row %d)", name, row, imported, lower))
	}
	if importers, bound := l.only[imported]; bound && !slices.Contains(importers, name) && !within(name, imported) {
		mistakes = append(mistakes, fmt.Sprintf("%s imports %s, which only %s may", name, imported, strings.Join(importers, ", ")))
	}
	if within(name, "compose") && within(imported, "engine") && !slices.Contains(l.composeMay, imported) {
		mistakes = append(mistakes, fmt.Sprintf("%s imports %s: compose may import only %s of the engine", name, imported, strings.Join(l.composeMay, ", ")))
	}
	if within(name, "engine") && within(imported, "compose") {
		mistakes = append(mistakes, fmt.Sprintf("%s imports %s: the engine does not know compose", name, imported))
	}
	if within(name, "network") && !within(imported, "network") || name == "volume" {
		mistakes = append(mistakes, fmt.Sprintf("%s imports %s: it imports nothing of ours", name, imported))
	}
	return mistakes
}

// within reports whether a package lies in a folder or is the folder itself.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

func TestTheSmallProgramStaysSmall(t *testing.T) {
	house := readLayers(t)
	for _, tags := range []string{"-tags=", "-tags=faults"} {
		deps := goList(t, "-deps", tags, "-f", "{{.ImportPath}}", "./../cmd/small")
		for _, forbidden := range house.smallFreeOf {
			if slices.Contains(deps, forbidden) {
				t.Errorf("cmd/small reaches %s with %s", forbidden, tags)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, line := range goList(t, "-f", "{{.ImportPath}}\t{{.Name}}\t{{.Doc}}", "./../...") {
		path, rest, _ := strings.Cut(line, "\t")
		name, doc, _ := strings.Cut(rest, "\t")
		if doc == "" && name != "" {
			t.Errorf("%s (package %s) has no package doc", path, name)
		}
	}
}

func readLayers(t *testing.T) layers {
	t.Helper()
	f, err := os.Open("layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := layers{row: map[string]int{}, only: map[string][]string{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || words[0] == "#" || strings.HasPrefix(words[0], "#"):
		case words[0] == "only":
			l.only[words[3]] = append(l.only[words[3]], words[1])
		case words[0] == "compose-may-import":
			l.composeMay = words[1:]
		case words[0] == "everybody-may-import":
			l.everybody = words[1:]
		case words[0] == "small-is-free-of":
			l.smallFreeOf = words[1:]
		default:
			row, err := strconv.Atoi(words[0])
			if err != nil {
				t.Fatalf("layers.txt: cannot read %q", lines.Text())
			}
			for _, name := range words[1:] {
				l.row[name] = row
			}
		}
	}
	return l
}

// listImports maps each product package to its imports of ours.
func listImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./../...") {
		words := strings.Fields(line)
		name := strings.TrimPrefix(words[0], module)
		if within(name, "e2e") || strings.Contains(name, "testdata") {
			continue
		}
		imports[name] = nil
		for _, imported := range words[1:] {
			if ours, ok := strings.CutPrefix(imported, module); ok {
				imports[name] = append(imports[name], ours)
			}
		}
	}
	return imports
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
