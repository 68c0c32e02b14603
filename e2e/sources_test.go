package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const prefix = "github.com/backlot-video/backlot/"

// source is one package as its files say, whatever their build tags.
type source struct {
	dir       string   // from the root of the repository: "services/rules/fact"
	name      string   // package clause of its files that are no tests, else of its tests
	imports   []string // of files that are no tests
	testOnly  []string // of tests alone
	commented bool     // a file has a package comment
	generated bool     // every file is generated
}

// service is the service that the package belongs to, with its path there:
// "rules", "fact". Both are empty for other packages, the latter also for the
// service's root.
func (s source) service() (service, within string) {
	rest, found := strings.CutPrefix(s.dir, "services/")
	if !found {
		return "", ""
	}
	service, within, _ = strings.Cut(rest, "/")
	return service, within
}

// readSources reads the imports of every Go file below the root of fsys.
func readSources(fsys fs.FS) (map[string]*source, error) {
	sources := make(map[string]*source)
	err := walk(fsys, func(file string) error { return readFile(fsys, file, sources) })
	return sources, err
}

// walk visits every Go file of ours below the root of fsys.
func walk(fsys fs.FS, visit func(file string) error) error {
	return fs.WalkDir(fsys, ".", func(file string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case !entry.IsDir() && path.Ext(file) == ".go":
			return visit(file)
		case !entry.IsDir() || file == ".":
			return nil
		case name == "testdata" || name == "node_modules" || name[0] == '.' || file == "data" || file == "dist":
			return fs.SkipDir
		}
		return nil
	})
}

func readFile(fsys fs.FS, file string, sources map[string]*source) error {
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return fmt.Errorf("read imports: %w", err)
	}
	dir := path.Dir(file)
	s := sources[dir]
	if s == nil {
		s = &source{dir: dir, generated: true}
		sources[dir] = s
	}
	s.generated = s.generated && ast.IsGenerated(parsed)
	into := &s.imports
	if strings.HasSuffix(file, "_test.go") {
		into = &s.testOnly
	}
	if s.name == "" || into == &s.imports {
		s.name = parsed.Name.Name
	}
	s.commented = s.commented || parsed.Doc != nil
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if !slices.Contains(*into, imported) {
			*into = append(*into, imported)
		}
	}
	return nil
}
