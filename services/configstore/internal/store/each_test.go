package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

func openPlain(t *testing.T) *Store {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), e, Config{})
	if err != nil {
		e.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); e.Close() })
	return s
}

// applyEach makes releases of one change each, all under one context.
func applyEach(ctx context.Context, s *Store, requests ...Request) []Outcome {
	contexts := make([]context.Context, len(requests))
	for n := range contexts {
		contexts[n] = ctx
	}
	return s.ApplyEach(contexts, requests)
}

func TestEachReleaseIsOneOfItsOwn(t *testing.T) {
	s := openPlain(t)
	stale := rates("stale", 1)
	stale.ExpectedRevision = 77
	unknown := rates("unknown", 1)
	unknown.GetPut().Key.Kind = "Nothing"
	trial := request("trial", rates("trial", 1))
	trial.DryRun = true
	got := applyEach(t.Context(), s,
		request("first", rates("first", 1)), request("stale", stale), request("unknown", unknown), trial, request("last", rates("last", 1)))
	for n, want := range []error{nil, object.ErrConflict, object.ErrUnknownKind, nil, nil} {
		if !errors.Is(got[n].Err, want) {
			t.Errorf("release %d: %v, want %v", n, got[n].Err, want)
		}
	}
	first, last := got[0].Result.Release, got[4].Result.Release
	if first.GetReason() != "first" || last.GetReason() != "last" || first.GetId() == last.GetId() || first.GetRevision() != last.GetRevision() {
		t.Errorf("the releases are %v and %v, which has to be one transaction", first, last)
	}
	if id := got[3].Result.Release.GetId(); id != "" {
		t.Errorf("the dry run is release %s", id)
	}
	for n, name := range map[int]string{0: "first", 4: "last"} {
		found, err := s.Get(t.Context(), object.Key{Tenant: "main", Kind: "RateTable", Name: name})
		if err != nil || found.GetReleaseId() != got[n].Result.Release.GetId() {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	if _, err := s.Get(t.Context(), object.Key{Tenant: "main", Kind: "RateTable", Name: "trial"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("the dry run has written: %v", err)
	}
}

// Releases of one object among them are made all the same, one after another.
func TestEachReleaseOfOneObjectIsMade(t *testing.T) {
	s := openPlain(t)
	requests := make([]Request, 40)
	for n := range requests {
		requests[n] = request(fmt.Sprint(n), rates("one", int64(n)))
	}
	revisions := map[int64]bool{}
	for n, out := range applyEach(t.Context(), s, requests...) {
		if out.Err != nil {
			t.Fatalf("release %d: %v", n, out.Err)
		}
		revisions[out.Result.Release.GetRevision()] = true
	}
	if len(revisions) != len(requests) {
		t.Errorf("%d revisions of %d releases", len(revisions), len(requests))
	}
	if len(s.locks.held) > 0 {
		t.Errorf("%d keys are taken still", len(s.locks.held))
	}
}

func TestEachReleaseEndsWithItsContext(t *testing.T) {
	s := openPlain(t)
	held, err := s.locks.acquire(t.Context(), paths([]*change{{key: object.Key{Tenant: "main", Kind: "RateTable", Namespace: "default", Name: "held"}}}))
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	end(gone)
	got := s.ApplyEach([]context.Context{ended, t.Context()}, []Request{request("held", rates("held", 1)), request("free", rates("free", 1))})
	if !errors.Is(got[0].Err, gone) || got[1].Err != nil {
		t.Errorf("got %v and %v", got[0].Err, got[1].Err)
	}
	held()
	if len(s.locks.held) > 0 {
		t.Errorf("%d keys are taken still", len(s.locks.held))
	}
}

func TestEachReleaseIsRefusedOnceTheStoreIsClosed(t *testing.T) {
	s := openPlain(t)
	s.commits.close()
	for n, out := range applyEach(t.Context(), s, request("a", rates("a", 1)), request("b", rates("b", 1))) {
		if !errors.Is(out.Err, engine.ErrClosed) {
			t.Errorf("release %d: %v", n, out.Err)
		}
	}
	if len(s.locks.held) > 0 {
		t.Errorf("%d keys are taken still", len(s.locks.held))
	}
}
