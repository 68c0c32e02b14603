package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/config"
)

func TestDefaultsAreValidAndFaultsAreReportedTogether(t *testing.T) {
	s := New()
	set := config.New("test")
	s.RegisterFlags(set.Sub(s.Name()))
	if _, err := set.Parse(nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	s.config.MaxActive, s.config.Attempts, s.config.Lease = 0, -1, time.Millisecond
	err := s.Validate()
	for _, field := range []string{"coordinator.max-active", "coordinator.attempts", "coordinator.lease"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestHostIDStays(t *testing.T) {
	dir := t.TempDir()
	first, err := hostID(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := hostID(dir); err != nil || again != first {
		t.Errorf("got %s, %v, want %s", again, err, first)
	}
	if err := os.WriteFile(filepath.Join(dir, "host-id"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := hostID(dir); err == nil {
		t.Error("nonsense was taken for a host id")
	}
}
