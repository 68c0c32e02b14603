package informer

import (
	"errors"

	"google.golang.org/protobuf/proto"
)

// Decoder makes the value of an object from an item. The item and its Spec are
// the source's and are used again once Decode returns: copy what is kept. An
// error leaves the object as it was. Decode is called by one goroutine of one
// informer at a time, so a Decoder with state belongs to one informer.
type Decoder[T any] interface {
	Decode(item *Item) (T, error)
}

// Keeper is a Decoder whose values can be kept in a snapshot file.
type Keeper[T any] interface {
	Decoder[T]
	// Encode returns bytes from which Restore makes the value again. It is
	// called beside Decode, from another goroutine.
	Encode(value T) ([]byte, error)
	Restore(raw []byte) (T, error)
}

var errKeeper = errors.New("informer: SnapshotFile is set, but the decoder is no Keeper: give it Encode and Restore, or leave SnapshotFile empty")

// messages is the Keeper of protobuf messages.
type messages[T proto.Message] struct{}

func (m messages[T]) Decode(item *Item) (T, error) { return m.Restore(item.Spec) }

func (messages[T]) Encode(value T) ([]byte, error) { return proto.Marshal(value) }

func (messages[T]) Restore(raw []byte) (T, error) {
	var zero T
	value := zero.ProtoReflect().New().Interface().(T)
	return value, proto.Unmarshal(raw, value)
}
