package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/backlot-video/backlot/kit/file"
)

func TestReplaceLeavesOnlyTheNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "f")
	for _, content := range []string{"a long first content", "b"} {
		if err := file.Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("got %q, %v", got, err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left %v, %v", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if file.Replace(filepath.Join(path, "below a file"), nil) == nil {
		t.Error("a file became a folder")
	}
}

func TestOnceGivesEveryoneTheFirstContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var mu sync.Mutex
	seen := map[string]bool{}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			got, err := file.Once(path, func() []byte { return fmt.Append(nil, "content of ", i) })
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			seen[string(got)] = true
		})
	}
	all.Wait()
	if len(seen) != 1 || seen[""] {
		t.Errorf("got %v", seen)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left %v, %v", entries, err)
	}
}
