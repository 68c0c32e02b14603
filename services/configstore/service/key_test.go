package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

func TestKeyFileIsMadeOnceAndMissedLater(t *testing.T) {
	dir := t.TempDir()
	etcd, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(dir, "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	given := New()
	given.config.KeyFile = filepath.Join(dir, "elsewhere.key")
	if _, err := given.keys(t.Context(), dir, etcd); err == nil || !strings.Contains(err.Error(), "elsewhere.key is missing; make it by `backlot configstore key") {
		t.Errorf("a file that is named and is not there: %v", err)
	}
	s := New()
	keys, err := s.keys(t.Context(), dir, etcd)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "secret.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	objects, err := store.Open(t.Context(), etcd, store.Config{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	objects.Close()
	if again, err := s.keys(t.Context(), dir, etcd); err != nil || again.Newest() != keys.Newest() {
		t.Errorf("the next start: %v", err)
	}
	if err := os.Rename(path, path+".lost"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.keys(t.Context(), dir, etcd); err == nil || !strings.Contains(err.Error(), keys.Newest()) {
		t.Errorf("a lost key: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("another key was made")
	}
}
