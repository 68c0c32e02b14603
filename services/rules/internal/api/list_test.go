package api

import (
	"slices"
	"testing"

	"connectrpc.com/connect"
	"gocloud.dev/blob/memblob"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/part"
)

func TestPartsOfListsAreCheckedAndKept(t *testing.T) {
	rulesets := newServer(t)
	store, err := part.NewStore(part.Opened(memblob.OpenBucket(nil)), "", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	lists := NewLists(rulesets.catalog, store)
	var put *rulesv1.PutPartRequest
	for p, text := range part.Split(slices.Values([]string{"42", "55*"})) {
		put = &rulesv1.PutPartRequest{Part: p, Zstd: part.Pack(text), Match: rulesv1.RuleList_MATCH_PREFIX}
	}
	find := &rulesv1.FindPartsRequest{Sha256: [][]byte{put.GetPart().GetSha256()}}
	if _, err := lists.PutPart(t.Context(), put); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a bad entry: %v", err)
	}
	if res, err := lists.FindParts(t.Context(), find); err != nil || len(res.GetMissing()) != 1 {
		t.Errorf("before: %v, %v", res, err)
	}
	put.Match = rulesv1.RuleList_MATCH_EXACT
	if _, err := lists.PutPart(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	if res, err := lists.FindParts(t.Context(), find); err != nil || len(res.GetMissing()) != 0 {
		t.Errorf("after: %v, %v", res, err)
	}
	fromFolder := NewLists(rulesets.catalog, nil)
	if _, err := fromFolder.PutPart(t.Context(), put); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("with a folder: %v", err)
	}
}

func TestListsAreToldAndLookedUp(t *testing.T) {
	rulesets := newServer(t)
	lists := NewLists(rulesets.catalog, nil)
	if err := rulesets.catalog.PutList("nets", []string{"10.0.0.0/8", "a"}); err != nil {
		t.Fatal(err)
	}
	told, err := lists.ListLists(t.Context(), &rulesv1.ListListsRequest{})
	if err != nil || len(told.GetLists()) != 1 || told.GetLists()[0].GetEntries() != 2 || told.GetLists()[0].GetBytes() == 0 {
		t.Errorf("got %v, %v", told, err)
	}
	res, err := lists.Lookup(t.Context(), &rulesv1.LookupRequest{Name: "nets", Values: []string{"10.1.1.1", "b", "a"}})
	if err != nil || !slices.Equal(res.GetMatches(), []bool{true, false, true}) {
		t.Errorf("got %v, %v", res, err)
	}
	if _, err := lists.Lookup(t.Context(), &rulesv1.LookupRequest{Name: "none"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("an unknown list: %v", err)
	}
}
