package informer

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrCompacted is what a Source answers where the changes since a revision
	// are no longer known: list again.
	ErrCompacted = errors.New("revision is compacted")
	// ErrEnded is what a Source answers where a watch ended as it should: it
	// is opened anew, and that is no failure.
	ErrEnded = errors.New("watch has ended")
)

var errIdle = errors.New("source is silent")

// Source lists and watches the objects of kinds.
type Source interface {
	// List delivers the objects of a kind in parts, each of which belongs to
	// the source again once deliver returns, and returns the revision of the
	// store that the list shows. An empty namespace means all. It stops with
	// deliver's error.
	List(ctx context.Context, kind, namespace string, deliver func([]Item) error) (revision int64, err error)
	// Watch calls deliver with every change after revision from, in order,
	// and with bookmarks. A batch belongs to the source again once deliver
	// returns. It blocks until ctx ends, the stream breaks or deliver fails,
	// and returns the reason, which is never nil; ErrCompacted means that the
	// caller has to list again.
	Watch(ctx context.Context, kind, namespace string, from int64, deliver func(Batch) error) error
}

// Patient is an error of a Source that says how long to wait before the next
// attempt. Config.BackoffMax is the most that is waited.
type Patient interface {
	error
	RetryAfter() time.Duration
}

// Encoding is how an Item's Spec is written.
type Encoding uint8

// The encodings.
const (
	Protobuf Encoding = iota
	JSON
)

// Item is an object as a source gives it. Namespace, Name, Labels and
// ReleaseID may be kept, Spec may not.
type Item struct {
	Namespace string // empty means "default"
	Name      string
	Labels    map[string]string // nil where the source leaves them in Spec
	Spec      []byte
	Encoding  Encoding
	Revision  int64
	ReleaseID string
	// Unreadable: the source knows of it, and cannot read it now. Who has it
	// keeps what it was. Only in lists.
	Unreadable bool
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

// Object is an object with its decoded value.
type Object[T any] struct {
	Namespace string
	Name      string
	Labels    map[string]string
	Revision  int64
	ReleaseID string
	Spec      T
}

func (i *Informer[T]) decode(item *Item) (*Object[T], error) {
	spec, err := i.decoder.Decode(item)
	if err != nil {
		return nil, err
	}
	return objectWith(item, spec), nil
}

func objectWith[T any](item *Item, spec T) *Object[T] {
	return &Object[T]{
		Namespace: keyOf(item.Namespace, item.Name).namespace,
		Name:      item.Name,
		Labels:    item.Labels,
		Revision:  item.Revision,
		ReleaseID: item.ReleaseID,
		Spec:      spec,
	}
}
