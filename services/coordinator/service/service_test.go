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
	s.config.MaxActive, s.config.Attempts, s.config.Lease, s.config.Participants = 0, -1, time.Millisecond, "shop"
	err := s.Validate()
	for _, field := range []string{"coordinator.max-active", "coordinator.attempts", "coordinator.lease", "coordinator.participants"} {
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

func TestParticipantsAreOnThisMachine(t *testing.T) {
	good, err := parseParticipants("settlement=127.0.0.1:8104,shop=unix:/run/shop.sock,shop=[::1]:9,cart=localhost:80")
	if err != nil || len(good) != 3 || len(good["shop"]) != 2 || good["settlement"][0].Address != "127.0.0.1:8104" {
		t.Errorf("got %v, %v", good, err)
	}
	for _, text := range []string{"shop", "=127.0.0.1:1", "shop=", "shop=10.0.0.1:80", "shop=example.com:80", "shop=127.0.0.1", "shop=unix:relative"} {
		if _, err := parseParticipants(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func FuzzParseParticipants(f *testing.F) {
	f.Add("settlement=127.0.0.1:8104,shop=unix:/run/shop.sock")
	f.Fuzz(func(t *testing.T, text string) {
		endpoints, err := parseParticipants(text)
		for name, found := range endpoints {
			if err == nil && (name == "" || len(found) == 0 || found[0].Address == "") {
				t.Errorf("%q: %q is at %v", text, name, found)
			}
		}
	})
}
