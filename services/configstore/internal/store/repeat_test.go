package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

func requestID(n int) string { return fmt.Sprintf("5a2b1c3d-0000-4000-8000-%012d", n) }

// ask makes a request of a number.
func ask(n int, changes ...*configstorev1.Change) store.Request {
	return store.Request{Tenant: tenant, Author: "operator/test", Reason: "asked", ID: requestID(n), Changes: changes}
}

// expecting is a change that wants its object at a revision.
func expecting(revision int64, change *configstorev1.Change) *configstorev1.Change {
	change.ExpectedRevision = revision
	return change
}

func answer(t *testing.T, s *store.Store, request store.Request) *configstorev1.ApplyResponse {
	t.Helper()
	result, err := s.Apply(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return &configstorev1.ApplyResponse{Release: result.Release, Objects: result.Objects}
}

func countReleases(t *testing.T, s *store.Store) int {
	t.Helper()
	releases, _, err := s.Releases(t.Context(), tenant, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(releases)
}

func TestRepeatedRequestIsAnsweredWithItsRelease(t *testing.T) {
	dir := t.TempDir()
	s, stop := open(t, dir)
	apply(t, s, put(t, "Cluster", "same", cluster("same")))
	created := ask(1, expecting(-1, put(t, "Cluster", "a", cluster("a"))), put(t, "Cluster", "same", cluster("same")))
	first := answer(t, s, created)
	changed := ask(2, expecting(first.GetRelease().GetRevision(), put(t, "Cluster", "a", cluster("b"))))
	second := answer(t, s, changed)
	deleted := ask(3, expecting(second.GetRelease().GetRevision(), remove("Cluster", "a")))
	third := answer(t, s, deleted)
	apply(t, s, put(t, "Cluster", "a", cluster("later")), put(t, "Cluster", "same", cluster("other")))

	check := func(when string) {
		t.Helper()
		before := countReleases(t, s)
		for n, request := range []store.Request{created, changed, deleted} {
			want := []*configstorev1.ApplyResponse{first, second, third}[n]
			if got := answer(t, s, request); !proto.Equal(got, want) {
				t.Errorf("%s: answer to request %d:\n%v\nwas\n%v", when, n, got, want)
			}
		}
		if after := countReleases(t, s); after != before {
			t.Errorf("%s: %d releases, were %d", when, after, before)
		}
	}
	check("at once")
	stop()
	s, _ = open(t, dir)
	check("after a restart")
}

func TestRequestIDOfAnotherReleaseIsRefused(t *testing.T) {
	s, _ := open(t, t.TempDir())
	a, b := put(t, "Cluster", "a", cluster("a")), put(t, "Cluster", "b", cluster("b"))
	answer(t, s, ask(1, a, b))
	for name, test := range map[string]struct {
		change func(*store.Request)
		says   string
	}{
		"another spec": {func(r *store.Request) { r.Changes = []*configstorev1.Change{a, put(t, "Cluster", "b", cluster("c"))} }, "changes[1].put"},
		"deletes":      {func(r *store.Request) { r.Changes = []*configstorev1.Change{remove("Cluster", "a"), b} }, "changes[0].delete"},
		"one more": {func(r *store.Request) {
			r.Changes = []*configstorev1.Change{a, b, put(t, "Cluster", "c", cluster("c"))}
		}, "changes[2].put"},
		"one less":       {func(r *store.Request) { r.Changes = []*configstorev1.Change{a} }, "object, "},
		"another reason": {func(r *store.Request) { r.Reason = "else" }, "reason"},
		"another author": {func(r *store.Request) { r.Author = "operator/else" }, "author"},
	} {
		request := ask(1, a, b)
		test.change(&request)
		_, err := s.Apply(t.Context(), request)
		var faults object.Faults
		if !errors.Is(err, object.ErrConflict) || !errors.As(err, &faults) || len(faults) != 1 || faults[0].Path != "request_id" {
			t.Errorf("%s: %v, want a conflict at request_id", name, err)
		} else if !strings.Contains(faults[0].Message, test.says) {
			t.Errorf("%s: %q does not say %q", name, faults[0].Message, test.says)
		}
	}
	other := ask(1, put(t, "Cluster", "b", cluster("z")))
	other.Tenant = "other"
	if result, err := s.Apply(t.Context(), other); err != nil || result.Release.GetId() == "" {
		t.Errorf("the same id of another tenant: %v, %v", result.Release, err)
	}
	bad := ask(1, a)
	bad.ID = "first"
	if _, err := s.Apply(t.Context(), bad); !errors.Is(err, object.ErrInvalid) || !strings.Contains(err.Error(), "request_id") {
		t.Errorf("no UUID: %v", err)
	}
	if n := countReleases(t, s); n != 1 {
		t.Errorf("%d releases, want 1", n)
	}
}

// TestRequestsAreCarriedOutOnce has callers repeat what is still on its way,
// while others change the same objects.
func TestRequestsAreCarriedOutOnce(t *testing.T) {
	s, _ := open(t, t.TempDir())
	const requests, callers = 20, 4
	releases := make([][callers]string, requests)
	var working sync.WaitGroup
	for n := range requests {
		for caller := range callers {
			working.Go(func() {
				name := fmt.Sprint("c", n%3)
				result, err := s.Apply(t.Context(), ask(n, put(t, "Cluster", name, cluster(fmt.Sprint("s", n)))))
				if err != nil {
					t.Error(err)
				}
				releases[n][caller] = result.Release.GetId()
			})
		}
	}
	working.Wait()
	for n, ids := range releases {
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Errorf("request %d became releases %v", n, ids)
				break
			}
		}
	}
	if n := countReleases(t, s); n != requests {
		t.Errorf("%d releases of %d requests", n, requests)
	}
}

// TestRepeatedRollbackIsAnsweredWithItsRelease repeats rollbacks whose own
// release would be somebody else's change if nobody knew better.
func TestRepeatedRollbackIsAnsweredWithItsRelease(t *testing.T) {
	dir := t.TempDir()
	s, stop := open(t, dir)
	first := apply(t, s, put(t, "Cluster", "a", cluster("one")))
	second := apply(t, s, put(t, "Cluster", "a", cluster("two")), put(t, "Cluster", "b", cluster("two")))
	ofRelease := store.Rollback{Tenant: tenant, Author: "operator/test", ReleaseID: second.Release.GetId(), ID: requestID(1)}
	ofObject := store.Rollback{
		Tenant: tenant, Author: "operator/test", Key: keyOf("Cluster", "a"), Revision: second.Release.GetRevision(), ID: requestID(2),
	}
	overLater := ofRelease
	overLater.ID, overLater.OverLater = requestID(3), true
	undos := []store.Rollback{ofRelease, ofObject, overLater}
	var made []*configstorev1.ApplyResponse
	roll := func(s *store.Store, undo store.Rollback) *configstorev1.ApplyResponse {
		t.Helper()
		result, err := s.Rollback(t.Context(), undo)
		if err != nil {
			t.Fatal(err)
		}
		return &configstorev1.ApplyResponse{Release: result.Release, Objects: result.Objects}
	}
	for _, undo := range undos {
		made = append(made, roll(s, undo))
	}
	apply(t, s, put(t, "Cluster", "a", cluster("later")))
	check := func(when string) {
		t.Helper()
		before := countReleases(t, s)
		for n, undo := range undos {
			dry := undo
			dry.DryRun = true
			for _, got := range []*configstorev1.ApplyResponse{roll(s, undo), roll(s, dry)} {
				if !proto.Equal(got, made[n]) {
					t.Errorf("%s: answer to rollback %d:\n%v\nwas\n%v", when, n, got, made[n])
				}
			}
		}
		if after := countReleases(t, s); after != before {
			t.Errorf("%s: %d releases, were %d", when, after, before)
		}
	}
	check("at once")
	stop()
	s, _ = open(t, dir)
	check("after a restart")

	for name, change := range map[string]func(*store.Rollback){
		"another release": func(r *store.Rollback) { r.ReleaseID = first.Release.GetId() },
		"another reason":  func(r *store.Rollback) { r.Reason = "else" },
		"another author":  func(r *store.Rollback) { r.Author = "operator/else" },
	} {
		other := ofRelease
		change(&other)
		if _, err := s.Rollback(t.Context(), other); !errors.Is(err, object.ErrConflict) || !strings.Contains(err.Error(), "request_id") {
			t.Errorf("%s: %v, want a conflict at request_id", name, err)
		}
	}
	unheardOf := ofRelease
	unheardOf.ID = requestID(4)
	if _, err := s.Rollback(t.Context(), unheardOf); !errors.Is(err, object.ErrConflict) || !strings.Contains(err.Error(), "was changed again since") {
		t.Errorf("taken back again: %v", err)
	}
}

func TestRepeatedReleaseOfADraftIsAnsweredWithItsRelease(t *testing.T) {
	dir := t.TempDir()
	s, stop := open(t, dir)
	apply(t, s, put(t, "Cluster", "old", cluster("one")))
	d := draft(t, s, put(t, "Cluster", "a", cluster("one")), remove("Cluster", "old"))
	request := store.Request{Tenant: tenant, Author: "operator/test", ID: requestID(1)}
	made, err := s.ReleaseDraft(t.Context(), request, d.GetId(), 0)
	if err != nil || made.Release.GetDraftId() != d.GetId() {
		t.Fatal(made, err)
	}
	apply(t, s, put(t, "Cluster", "a", cluster("later")))
	other := draft(t, s, put(t, "Cluster", "a", cluster("one")))
	check := func(when string) {
		t.Helper()
		again, err := s.ReleaseDraft(t.Context(), request, d.GetId(), 0)
		want := &configstorev1.ApplyResponse{Release: made.Release, Objects: made.Objects}
		if got := (&configstorev1.ApplyResponse{Release: again.Release, Objects: again.Objects}); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v\n%v\nwas\n%v", when, err, got, want)
		}
		if _, err := s.ReleaseDraft(t.Context(), request, other.GetId(), 0); !errors.Is(err, object.ErrConflict) {
			t.Errorf("%s: another draft by the same id: %v", when, err)
		}
		stranger := request
		stranger.Author = "operator/else"
		if _, err := s.ReleaseDraft(t.Context(), stranger, d.GetId(), 0); !errors.Is(err, object.ErrConflict) {
			t.Errorf("%s: another author: %v", when, err)
		}
		unheardOf := request
		unheardOf.ID = requestID(2)
		if _, err := s.ReleaseDraft(t.Context(), unheardOf, d.GetId(), 0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: an unknown id: %v", when, err)
		}
		bad := request
		bad.ID = "first"
		if _, err := s.ReleaseDraft(t.Context(), bad, d.GetId(), 0); !errors.Is(err, object.ErrInvalid) {
			t.Errorf("%s: no UUID: %v", when, err)
		}
		if n := countReleases(t, s); n != 3 {
			t.Errorf("%s: %d releases, want 3", when, n)
		}
	}
	check("at once")
	stop()
	s, _ = open(t, dir)
	check("after a restart")
}

// TestDraftsAndRollbacksAreCarriedOutOnce has callers repeat what is still on
// its way.
func TestDraftsAndRollbacksAreCarriedOutOnce(t *testing.T) {
	s, _ := open(t, t.TempDir())
	const callers = 6
	d := draft(t, s, put(t, "Cluster", "a", cluster("one")))
	all := func(what string, release func() (store.Result, error)) string {
		t.Helper()
		var ids [callers]string
		var working sync.WaitGroup
		for caller := range callers {
			working.Go(func() {
				result, err := release()
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				ids[caller] = result.Release.GetId()
			})
		}
		working.Wait()
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Errorf("one %s became releases %v", what, ids)
			}
		}
		return ids[0]
	}
	id := all("draft", func() (store.Result, error) {
		return s.ReleaseDraft(t.Context(), store.Request{Tenant: tenant, Author: "operator/test", ID: requestID(1)}, d.GetId(), 0)
	})
	all("rollback", func() (store.Result, error) {
		return s.Rollback(t.Context(), store.Rollback{Tenant: tenant, Author: "operator/test", ReleaseID: id, ID: requestID(2)})
	})
	if n := countReleases(t, s); n != 2 {
		t.Errorf("%d releases, want 2", n)
	}
}
