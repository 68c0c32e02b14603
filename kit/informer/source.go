package informer

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"
)

// ErrCompacted is what a Source answers where the changes since a revision are
// no longer known: list again.
var ErrCompacted = errors.New("revision is compacted")

var errIdle = errors.New("watch is silent")

// Source lists and watches the objects of kinds.
type Source interface {
	// List returns the objects of a kind and the revision of the store that
	// the list shows. An empty namespace means all.
	List(ctx context.Context, kind, namespace string) (items []Item, revision int64, err error)
	// Watch calls deliver with every change after revision from, in order,
	// and with bookmarks at least every 15 s. It blocks until ctx ends, the
	// stream breaks or deliver fails, and returns the reason, which is never
	// nil; ErrCompacted means that the caller has to list again.
	Watch(ctx context.Context, kind, namespace string, from int64, deliver func(Batch) error) error
}

// Item is an object as a source gives it. The receiver owns it.
type Item struct {
	Namespace string // empty means "default"
	Name      string
	Labels    map[string]string
	Spec      []byte // the kind's message, in wire format
	Revision  int64
	ReleaseID string
}

// Change is one change of one object. A deletion has namespace and name only.
type Change struct {
	Item
	Deleted bool
}

// Batch holds the changes of one or more whole revisions. One without changes
// is a bookmark: nothing changed up to Revision.
type Batch struct {
	Changes  []Change
	Revision int64
}

// Object is an object with its decoded spec.
type Object[T proto.Message] struct {
	Namespace string
	Name      string
	Labels    map[string]string
	Revision  int64
	ReleaseID string
	Spec      T
}

func decode[T proto.Message](item Item) (*Object[T], error) {
	var zero T
	spec := zero.ProtoReflect().New().Interface().(T)
	if err := proto.Unmarshal(item.Spec, spec); err != nil {
		return nil, err
	}
	return &Object[T]{
		Namespace: keyOf(item.Namespace, item.Name).namespace,
		Name:      item.Name,
		Labels:    item.Labels,
		Revision:  item.Revision,
		ReleaseID: item.ReleaseID,
		Spec:      spec,
	}, nil
}
