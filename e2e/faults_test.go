package e2e

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// The seams are in the programs built for it and not in the product, their
// names and what steers them included.
func TestTheProductHoldsNoSeams(t *testing.T) {
	points := faultPoints(t)
	if len(points) < 30 {
		t.Fatalf("only %d points are found in the code: %v", len(points), points)
	}
	for _, program := range []string{"cmd/small", "cmd/mycompose"} {
		out := filepath.Join(t.TempDir(), "program")
		if err := kerneltest.Build(out, program, ""); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(points, "cannot read %q: want POINT HIT ACTION PROCESS") {
			if bytes.Contains(raw, []byte(name)) {
				t.Errorf("%s holds %q", program, name)
			}
		}
	}
}

// Each name stands at one place of the code only, and tells its room.
func TestEachSeamHasItsOwnName(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range faultPoints(t) {
		if seen[name] {
			t.Errorf("the point %s stands at two places", name)
		}
		seen[name] = true
		if !strings.Contains(name, ":") {
			t.Errorf("the point %s does not tell its room", name)
		}
	}
}

// faultPoints finds the names in calls of fault.Point and fault.Errno.
func faultPoints(t *testing.T) []string {
	t.Helper()
	var points []string
	for _, room := range []string{"cmd", "compose", "engine", "network", "volume"} {
		err := filepath.WalkDir(filepath.Join("..", room), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if name, ok := faultName(t, n); ok {
					points = append(points, name)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return points
}

func faultName(t *testing.T, n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", false
	}
	function, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	if room, ok := function.X.(*ast.Ident); !ok || room.Name != "fault" || len(call.Args) != 1 {
		return "", false
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		t.Errorf("fault.%s is called with something else than a name", function.Sel.Name)
		return "", false
	}
	name, err := strconv.Unquote(literal.Value)
	if err != nil {
		t.Fatal(err)
	}
	return name, true
}
