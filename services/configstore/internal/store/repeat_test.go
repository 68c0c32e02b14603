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
