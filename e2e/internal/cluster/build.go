package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Variant is a way to build the binaries.
type Variant struct {
	name  string
	env   string // environment variable with other flags for it
	flags string
}

// The variants. Each environment variable holds flags of `go build`.
var (
	// Race looks for data races.
	Race = Variant{"race", "BACKLOT_E2E_RACE_FLAGS", "-race -ldflags=-w -tags openblas,crashpoint"}
	// Crash has crash points, and restarts quickly.
	Crash = Variant{"crash", "BACKLOT_E2E_CRASH_FLAGS", "-ldflags=-w -tags openblas,crashpoint"}
	// Plain is what users run: binaries in the folder BACKLOT_E2E_BIN, if there.
	Plain = Variant{"plain", "BACKLOT_E2E_PLAIN_FLAGS", "-ldflags=-w -tags openblas"}
)

const buildTime = 10 * time.Minute

var builds struct {
	mu    sync.Mutex
	dir   string
	built map[string]error
}

// Main runs a package's tests and removes what they built.
func Main(m *testing.M) int {
	defer func() {
		if builds.dir != "" {
			_ = os.RemoveAll(builds.dir)
		}
	}()
	return m.Run()
}

// Build builds a command once per test run and returns its path. command is
// a folder of the repository, `cmd/backlot`.
func Build(t *testing.T, variant Variant, command string) string {
	t.Helper()
	path, err := build(variant, command)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build(variant Variant, command string) (path string, err error) {
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if builds.dir == "" {
		if builds.dir, err = os.MkdirTemp("", "backlot-e2e-"); err != nil {
			return "", err
		}
		builds.built = map[string]error{}
	}
	if made := os.Getenv("BACKLOT_E2E_BIN"); made != "" && variant == Plain {
		path = filepath.Join(made, filepath.Base(command))
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	path = filepath.Join(builds.dir, variant.name, filepath.Base(command))
	if err, done := builds.built[path]; done {
		return path, err
	}
	err = compile(variant, command, path)
	builds.built[path] = err
	return path, err
}

func compile(variant Variant, command, path string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	flags, given := os.LookupEnv(variant.env)
	if !given {
		flags = variant.flags
		if runtime.GOOS+"/"+runtime.GOARCH != "linux/amd64" {
			flags = strings.ReplaceAll(flags, "openblas", "purego")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	args := append([]string{"build", "-o", path}, strings.Fields(flags)...)
	build := exec.CommandContext(ctx, "go", append(args, "./"+command)...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(build.Args[1:], " "), err, out)
	}
	return nil
}

// Root is the repository's folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no go.work above the working folder")
}
