package tool

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/services/rules/internal/lsp"
)

var lspVerb = Verb{
	Name: "lsp", About: "is a language server for editors, on the standard input and output",
	Examples: []string{"lsp", "lsp --descriptors facts.binpb --fact shop.v1.OrderFact"},
	Run:      runLSP,
}

func runLSP(ctx context.Context, verb *Verb, args []string, std *Stdio) int {
	set := config.New(verb.Name)
	var f facts
	var stdio bool
	f.register(set)
	set.Bool(&stdio, "stdio", true, "accepted for editors that say so: there is no other way")
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	if len(rest) > 0 {
		return std.fail(verb, fmt.Errorf("argument %q is not known", rest[0]))
	}
	if err := f.load(); err != nil {
		return std.fail(verb, err)
	}
	seen := map[string]string{}
	server := lsp.NewServer(lsp.Config{
		Version: version(),
		Resolve: func(uri, text string) (lsp.Surroundings, error) {
			dir := folderOf(uri)
			if stamp := stampOf(dir); seen[dir] != stamp {
				seen[dir] = stamp
				delete(f.dirs, dir)
			}
			schema, lists, err := f.of(text, dir)
			if err != nil {
				return lsp.Surroundings{}, err
			}
			return lsp.Surroundings{Schema: schema, Lists: lists, Rates: f.dirs[dir].rates}, nil
		},
	}, std.In, std.Out)
	ended := make(chan error, 1)
	// A read of the standard input cannot be interrupted: after a signal this
	// goroutine ends with the process.
	go func() { ended <- server.Run() }()
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, lsp.ErrGone) {
			return std.fail(verb, err)
		}
		if err != nil {
			return exitFaults
		}
	case <-ctx.Done():
	}
	return exitOK
}

// version is that of the module, for clients.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}

// folderOf is the folder of a document; the current one where it has no file.
func folderOf(uri string) string {
	parsed, err := url.Parse(uri)
	if err != nil || parsed.Scheme != "file" {
		return "."
	}
	path := parsed.Path
	if len(path) > 2 && path[0] == '/' && path[2] == ':' { // /C:/rules of Windows
		path = path[1:]
	}
	return filepath.Dir(filepath.FromSlash(path))
}

// stampOf changes when the fact types, lists or rates of a folder do.
func stampOf(dir string) string {
	var b strings.Builder
	for _, pattern := range []string{"*.binpb", "*.list", "*.rates"} {
		paths, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil {
				fmt.Fprintf(&b, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
			}
		}
	}
	return b.String()
}
