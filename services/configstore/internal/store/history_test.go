package store_test

import (
	"errors"
	"strings"
	"testing"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

func keyOf(kind, name string) object.Key { return object.Key{Tenant: tenant, Kind: kind, Name: name} }

// service is what the cluster stands for; empty where it does not exist.
func service(t *testing.T, o *configstorev1.Object) string {
	t.Helper()
	if o == nil {
		return ""
	}
	c := new(gatewayv1.Cluster)
	if err := o.GetSpec().UnmarshalTo(c); err != nil {
		t.Fatal(err)
	}
	return c.GetService()
}

func now(t *testing.T, s *store.Store, name string) string {
	t.Helper()
	o, err := s.Get(t.Context(), keyOf("Cluster", name))
	if errors.Is(err, store.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return service(t, o)
}

func TestHistoryTellsEveryVersionAndObjectsAsOfARevision(t *testing.T) {
	s, _ := open(t, t.TempDir())
	first := apply(t, s, put(t, "Cluster", "a", cluster("one")), put(t, "Cluster", "b", cluster("one")))
	apply(t, s, put(t, "Cluster", "a", cluster("two")))
	apply(t, s, put(t, "Cluster", "b", cluster("other")))
	apply(t, s, remove("Cluster", "a"))
	apply(t, s, put(t, "Cluster", "a", cluster("three")))
	versions, truncated, err := s.History(t.Context(), keyOf("Cluster", "a"), 10)
	if err != nil || truncated {
		t.Fatal(truncated, err)
	}
	var got []string
	for _, v := range versions {
		if v.GetRelease().GetAuthor() != "operator/test" || v.GetRevision() != v.GetRelease().GetRevision() {
			t.Errorf("version %v", v)
		}
		got = append(got, service(t, v.GetObject()))
	}
	if strings.Join(got, ",") != "three,,two,one" {
		t.Errorf("history is %q", got)
	}
	if versions, truncated, err := s.History(t.Context(), keyOf("Cluster", "a"), 2); err != nil || !truncated || len(versions) != 2 {
		t.Errorf("two of four: %d, %v, %v", len(versions), truncated, err)
	}
	then, err := s.GetAt(t.Context(), keyOf("Cluster", "a"), first.Release.GetRevision())
	if err != nil || service(t, then) != "one" {
		t.Errorf("then %v, %v", then, err)
	}
	if _, err := s.GetAt(t.Context(), keyOf("Cluster", "a"), 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before it was: %v", err)
	}
	if _, err := s.GetAt(t.Context(), keyOf("Cluster", "a"), 1<<40); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("in the future: %v", err)
	}
}

func TestRollbackTakesBackAReleaseWhole(t *testing.T) {
	s, _ := open(t, t.TempDir())
	apply(t, s, put(t, "Cluster", "a", cluster("one")), put(t, "Cluster", "gone", cluster("one")))
	bad := apply(t, s, put(t, "Cluster", "a", cluster("bad")), put(t, "Cluster", "new", cluster("bad")), remove("Cluster", "gone"))
	undo := store.Rollback{Tenant: tenant, Author: "operator/other", ReleaseID: bad.Release.GetId()}
	undo.DryRun = true
	if _, err := s.Rollback(t.Context(), undo); err != nil || now(t, s, "a") != "bad" {
		t.Errorf("dry run: %v, a is %q", err, now(t, s, "a"))
	}
	undo.DryRun = false
	result, err := s.Rollback(t.Context(), undo)
	if err != nil || len(result.Release.GetKeys()) != 3 || result.Release.GetReason() != "take back release "+bad.Release.GetId() {
		t.Fatalf("%v, %v", result.Release, err)
	}
	if now(t, s, "a") != "one" || now(t, s, "new") != "" || now(t, s, "gone") != "one" {
		t.Errorf("a %q, new %q, gone %q", now(t, s, "a"), now(t, s, "new"), now(t, s, "gone"))
	}
	// Taking back the taking back.
	if _, err := s.Rollback(t.Context(), store.Rollback{Tenant: tenant, ReleaseID: result.Release.GetId()}); err != nil || now(t, s, "new") != "bad" {
		t.Errorf("again: %v, new is %q", err, now(t, s, "new"))
	}
	if _, err := s.Rollback(t.Context(), store.Rollback{Tenant: tenant, ReleaseID: "nothing"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown release: %v", err)
	}
}

func TestRollbackLeavesWhatChangedLaterUnlessTold(t *testing.T) {
	s, _ := open(t, t.TempDir())
	bad := apply(t, s, put(t, "Cluster", "a", cluster("bad")), put(t, "Cluster", "b", cluster("bad")))
	apply(t, s, put(t, "Cluster", "b", cluster("mended")))
	undo := store.Rollback{Tenant: tenant, ReleaseID: bad.Release.GetId()}
	_, err := s.Rollback(t.Context(), undo)
	if !errors.Is(err, object.ErrConflict) || !strings.Contains(err.Error(), "release.keys[1]") {
		t.Errorf("got %v", err)
	}
	if now(t, s, "a") != "bad" {
		t.Error("half of it was taken back")
	}
	undo.OverLater = true
	if _, err := s.Rollback(t.Context(), undo); err != nil || now(t, s, "a")+now(t, s, "b") != "" {
		t.Errorf("%v: a %q, b %q", err, now(t, s, "a"), now(t, s, "b"))
	}
}

func TestRollbackIsCheckedLikeAnyRelease(t *testing.T) {
	s, _ := open(t, t.TempDir())
	added := apply(t, s, put(t, "Cluster", "a", cluster("one")))
	apply(t, s, put(t, "Route", "r", route("a")))
	if _, err := s.Rollback(t.Context(), store.Rollback{Tenant: tenant, ReleaseID: added.Release.GetId()}); !errors.Is(err, object.ErrReference) {
		t.Errorf("the cluster of a route was taken back: %v", err)
	}
	second := apply(t, s, put(t, "Cluster", "a", cluster("two")))
	apply(t, s, put(t, "Cluster", "a", cluster("three")))
	back := store.Rollback{Tenant: tenant, Key: keyOf("Cluster", "a"), Revision: second.Release.GetRevision()}
	if _, err := s.Rollback(t.Context(), back); err != nil || now(t, s, "a") != "two" {
		t.Errorf("%v: a is %q", err, now(t, s, "a"))
	}
}

func draft(t *testing.T, s *store.Store, changes ...*configstorev1.Change) *configstorev1.Draft {
	t.Helper()
	d, err := s.CreateDraft(t.Context(), store.Request{Tenant: tenant, Author: "operator/author", Reason: "sale", Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func review(t *testing.T, s *store.Store, id, author string, approved bool) error {
	t.Helper()
	_, err := s.ReviewDraft(t.Context(), tenant, id, &configstorev1.Review{Author: author, Approved: approved, Comment: "because"})
	return err
}

func TestDraftIsReleasedOnceOthersApproved(t *testing.T) {
	s, _ := open(t, t.TempDir())
	d := draft(t, s, put(t, "Cluster", "a", cluster("one")))
	if now(t, s, "a") != "" {
		t.Error("a draft is in force")
	}
	if err := review(t, s, d.GetId(), "operator/author", true); !errors.Is(err, store.ErrReview) {
		t.Errorf("reviewed by its author: %v", err)
	}
	release := func() error {
		_, err := s.ReleaseDraft(t.Context(), store.Request{Tenant: tenant, Author: "operator/author"}, d.GetId(), 1)
		return err
	}
	if err := release(); !errors.Is(err, store.ErrReview) {
		t.Errorf("released without a review: %v", err)
	}
	if err := review(t, s, d.GetId(), "operator/second", false); err != nil {
		t.Error(err)
	}
	if err := release(); !errors.Is(err, store.ErrReview) || !strings.Contains(err.Error(), "operator/second rejected it: because") {
		t.Errorf("released though rejected: %v", err)
	}
	if err := review(t, s, d.GetId(), "operator/second", true); err != nil { // another mind
		t.Error(err)
	}
	if err := release(); err != nil || now(t, s, "a") != "one" {
		t.Errorf("%v: a is %q", err, now(t, s, "a"))
	}
	if err := release(); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("released twice: %v", err)
	}
	if releases, _, err := s.Releases(t.Context(), tenant, "", 1); err != nil || releases[0].GetReason() != "sale" {
		t.Errorf("%v, %v", releases, err)
	}
}

func TestDraftOfWhatChangedMeanwhileIsAConflict(t *testing.T) {
	s, _ := open(t, t.TempDir())
	apply(t, s, put(t, "Cluster", "old", cluster("one")))
	changed := draft(t, s, put(t, "Cluster", "old", cluster("draft")))
	appeared := draft(t, s, put(t, "Cluster", "new", cluster("draft")))
	apply(t, s, put(t, "Cluster", "old", cluster("two")), put(t, "Cluster", "new", cluster("two")))
	for d, want := range map[*configstorev1.Draft]error{changed: object.ErrConflict, appeared: object.ErrExists} {
		if _, err := s.ReleaseDraft(t.Context(), store.Request{Tenant: tenant, Author: "operator/a"}, d.GetId(), 0); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if left, err := s.Drafts(t.Context(), tenant); err != nil || len(left) != 2 || left[0].GetId() != appeared.GetId() {
		t.Errorf("drafts that could not be released are gone: %v, %v", left, err)
	}
	if err := s.DropDraft(t.Context(), tenant, changed.GetId()); err != nil {
		t.Error(err)
	}
	if _, err := s.Draft(t.Context(), tenant, changed.GetId()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("dropped, but %v", err)
	}
	_, err := s.CreateDraft(t.Context(), store.Request{Tenant: tenant, Changes: []*configstorev1.Change{put(t, "Route", "r", route("nowhere"))}})
	if !errors.Is(err, object.ErrReference) {
		t.Errorf("a bad draft: %v", err)
	}
}
