package informer_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/informer"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
)

func wordObject(t *testing.T, name, value string, revision int64) *configstorev1.Object {
	spec, err := anypb.New(text(value))
	if err != nil {
		t.Fatal(err)
	}
	key := &configstorev1.Key{Kind: kind, Namespace: "default", Name: name}
	return &configstorev1.Object{Key: key, Spec: spec, Revision: revision, ReleaseId: "r"}
}

// scriptedServer answers a listing, a watch from its revision, and calls any
// other watch compacted.
type scriptedServer struct {
	configstorev1connect.UnimplementedConfigServiceHandler
	t *testing.T
}

func (s *scriptedServer) List(_ context.Context, request *configstorev1.ListRequest) (*configstorev1.ListResponse, error) {
	if request.GetKind() != kind || request.GetNamespace() != "default" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New(request.String()))
	}
	return &configstorev1.ListResponse{
		Objects:  []*configstorev1.Object{wordObject(s.t, "a", "1", 5)},
		Revision: 7,
	}, nil
}

func (s *scriptedServer) Watch(
	_ context.Context, request *configstorev1.WatchRequest, stream *connect.ServerStream[configstorev1.WatchResponse],
) error {
	if request.GetFromRevision() != 7 {
		return connect.NewError(connect.CodeOutOfRange, errors.New("compacted"))
	}
	gone := wordObject(s.t, "a", "", 9)
	gone.Spec = nil
	return stream.Send(&configstorev1.WatchResponse{Revision: 9, Events: []*configstorev1.Event{
		{Type: configstorev1.Event_TYPE_PUT, Object: wordObject(s.t, "b", "2", 8)},
		{Type: configstorev1.Event_TYPE_DELETE, Object: gone},
	}})
}

func TestRemoteListsAndWatches(t *testing.T) {
	_, handler := configstorev1connect.NewConfigServiceHandler(&scriptedServer{t: t})
	server := httptest.NewServer(handler)
	defer server.Close()
	source := informer.NewRemote(server.Client(), server.URL)

	var items []informer.Item
	take := func(part []informer.Item) error { items = append(items, part...); return nil }
	revision, err := source.List(t.Context(), kind, "default", take)
	if err != nil || revision != 7 || len(items) != 1 {
		t.Fatalf("items %v, revision %d, err %v", items, revision, err)
	}
	if got := items[0]; got.Name != "a" || got.Revision != 5 || got.ReleaseID != "r" || string(got.Spec) != "\n\x011" {
		t.Errorf("item = %+v", got)
	}
	if _, err := source.List(t.Context(), "Else", "", take); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("list of another kind: %v", err)
	}

	var batches []informer.Batch
	keep := func(batch informer.Batch) error { batches = append(batches, batch); return nil }
	if err := source.Watch(t.Context(), kind, "", 7, keep); err == nil {
		t.Error("the end of the stream must be an error")
	}
	if len(batches) != 1 || batches[0].Revision != 9 || len(batches[0].Changes) != 2 {
		t.Fatalf("batches = %+v", batches)
	}
	if put, gone := batches[0].Changes[0], batches[0].Changes[1]; put.Deleted || put.Name != "b" || !gone.Deleted || gone.Name != "a" {
		t.Errorf("changes = %+v", batches[0].Changes)
	}
	if err := source.Watch(t.Context(), kind, "", 3, keep); !errors.Is(err, informer.ErrCompacted) {
		t.Errorf("compacted: err = %v", err)
	}
}
