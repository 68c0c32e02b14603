package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// TestSleepsAreSynthetic lets a test sleep only in the time of
// testing/synctest.
func TestSleepsAreSynthetic(t *testing.T) {
	for _, place := range realSleeps(t, os.DirFS("..")) {
		t.Errorf("%s: time.Sleep in a test that does not import testing/synctest: wait for a condition with a deadline", place)
	}
}

func TestPlantedSleepIsFound(t *testing.T) {
	sleeps := "func f() { time.Sleep(1) }\n"
	planted := fstest.MapFS{
		"a/a_test.go": {Data: []byte("package a\nimport \"time\"\n" + sleeps)},
		"a/b_test.go": {Data: []byte("package a\nimport \"testing/synctest\"\nimport \"time\"\n" + sleeps)},
		"a/a.go":      {Data: []byte("package a\nimport \"time\"\n" + sleeps)},
	}
	if got := realSleeps(t, planted); !slices.Equal(got, []string{"a/a_test.go:3"}) {
		t.Errorf("got %v", got)
	}
}

func realSleeps(t *testing.T, fsys fs.FS) []string {
	t.Helper()
	var places []string
	err := walk(fsys, func(file string) error {
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, path.Clean(file), text, 0)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			if spec.Path.Value == `"testing/synctest"` {
				return nil
			}
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			if selector, found := node.(*ast.SelectorExpr); found && selector.Sel.Name == "Sleep" {
				if owner, found := selector.X.(*ast.Ident); found && owner.Name == "time" {
					at := files.Position(selector.Pos())
					places = append(places, at.Filename+":"+strconv.Itoa(at.Line))
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return places
}
