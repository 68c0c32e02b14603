package model

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func save(t *testing.T, s *Store, versions ...string) {
	t.Helper()
	for _, v := range versions {
		if err := s.Save(sample(t, v)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSaveKeepsTheNewest(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Keep: 2, MaxBytes: 1 << 20}
	dir := filepath.Join(s.Dir, "main")
	save(t, s, "1")
	if err := os.WriteFile(filepath.Join(dir, ".new-crashed"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	save(t, s, "2", "3")
	if got := names(t, dir); !slices.Equal(got, []string{"2.model", "3.model"}) {
		t.Errorf("files are %v", got)
	}
	m, err := s.Latest("main")
	if err != nil || m == nil || m.Version != "3" {
		t.Errorf("latest is %v, %v", m, err)
	}
	if got, err := s.Tenants(); err != nil || !slices.Equal(got, []string{"main"}) {
		t.Errorf("tenants are %v, %v", got, err)
	}
}

func TestLatestFallsBackFromADamagedModel(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Keep: 5, MaxBytes: 1 << 20}
	save(t, s, "1", "2")
	if err := os.WriteFile(filepath.Join(s.Dir, "main", "2.model"), []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := s.Latest("main")
	if m == nil || m.Version != "1" || !errors.Is(err, ErrInvalid) {
		t.Errorf("latest is %v, %v", m, err)
	}
}

func TestLatestWithoutModels(t *testing.T) {
	s := &Store{Dir: filepath.Join(t.TempDir(), "absent"), Keep: 1, MaxBytes: 1 << 20}
	for _, tenant := range []string{"main", "..", ""} {
		if m, err := s.Latest(tenant); m != nil || err != nil {
			t.Errorf("%q: %v, %v", tenant, m, err)
		}
	}
	if got, err := s.Tenants(); err != nil || len(got) != 0 {
		t.Errorf("tenants are %v, %v", got, err)
	}
}

func TestLimitOnBytes(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Keep: 1, MaxBytes: 1 << 20}
	save(t, s, "1")
	small := &Store{Dir: s.Dir, Keep: 1, MaxBytes: 100}
	if err := small.Save(sample(t, "2")); !errors.Is(err, ErrInvalid) {
		t.Errorf("save: %v", err)
	}
	if m, err := small.Latest("main"); m != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("latest: %v, %v", m, err)
	}
}

func TestLatestRefusesAnotherTenantsModel(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Keep: 1, MaxBytes: 1 << 20}
	save(t, s, "1")
	if err := os.Rename(filepath.Join(s.Dir, "main"), filepath.Join(s.Dir, "other")); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Latest("other"); m != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("latest: %v, %v", m, err)
	}
}

func TestSaveRefusesNamesOutsideItsFolder(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Keep: 1, MaxBytes: 1 << 20}
	for _, bad := range []string{"..", "../x", "a/b", `a\b`, ".hidden"} {
		m := sample(t, bad)
		if err := s.Save(m); !errors.Is(err, ErrInvalid) {
			t.Errorf("version %q: %v", bad, err)
		}
		m = sample(t, "1")
		m.Tenant = bad
		if err := s.Save(m); !errors.Is(err, ErrInvalid) {
			t.Errorf("tenant %q: %v", bad, err)
		}
	}
	if got := names(t, s.Dir); len(got) != 0 {
		t.Errorf("left behind %v", got)
	}
}

func TestFailedSaveLeavesNothing(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Keep: 1, MaxBytes: 1 << 20}
	if err := os.MkdirAll(filepath.Join(s.Dir, "main", "1.model"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(sample(t, "1")); err == nil {
		t.Fatal("saved over a folder")
	}
	if got := names(t, filepath.Join(s.Dir, "main")); !slices.Equal(got, []string{"1.model"}) {
		t.Errorf("left behind %v", got)
	}
}
