package store_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// Members that found a cluster start together, and each registers the kinds
// that come with Backlot.
func TestStoresThatStartTogetherAllStart(t *testing.T) {
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	var starts sync.WaitGroup
	for range 3 {
		starts.Go(func() {
			s, err := store.Open(t.Context(), e, store.Config{})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	starts.Wait()
}
