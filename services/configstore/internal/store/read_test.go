package store

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// TestReadsThatComeTogetherAreThoseOfEachAlone: the newest objects, and what is
// wrong with some.
func TestReadsThatComeTogetherAreThoseOfEachAlone(t *testing.T) {
	s := openPlain(t)
	if got := s.GetEach(t.Context(), nil); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for version := range int64(3) {
		if _, err := s.Apply(t.Context(), request("both", rates("one", version+1), rates("two", version+1))); err != nil {
			t.Fatal(err)
		}
		keys := []object.Key{
			{Tenant: "main", Kind: "RateTable", Namespace: "default", Name: "one"},
			{Tenant: "main", Kind: "Nothing", Namespace: "default", Name: "one"},
			{Tenant: "main", Kind: "RateTable", Namespace: "default", Name: "three"},
			{Tenant: "other", Kind: "RateTable", Namespace: "default", Name: "one"},
			{Tenant: "main", Kind: "RateTable", Namespace: "default", Name: "two"},
		}
		got := s.GetEach(t.Context(), keys)
		for n, want := range []error{nil, object.ErrUnknownKind, ErrNotFound, ErrNotFound, nil} {
			if !errors.Is(got[n].Err, want) {
				t.Errorf("%s: %v, want %v", keys[n], got[n].Err, want)
			}
			alone, err := s.Get(t.Context(), keys[n])
			if (err == nil) != (want == nil) || !proto.Equal(got[n].Object, alone) {
				t.Errorf("%s: %v, but alone %v, %v", keys[n], got[n].Object, alone, err)
			}
		}
		if a, b := got[0].Object, got[4].Object; a.GetRevision() != b.GetRevision() {
			t.Errorf("revisions %d and %d of one release", a.GetRevision(), b.GetRevision())
		}
	}
}
