package mq

import (
	"bytes"
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// shortMark begins a row of the outbox that holds a short fact. No message
// begins so: a relay that does not know of short facts, or has no Expand, leaves
// them to one that does.
const shortMark = 0x07

// errNoExpand means a short fact that this program cannot make whole.
var errNoExpand = errors.New("the fact is short, and this outbox has no Expand")

// EncodeShort is Encode of a fact that is not written twice: the service's own
// tables hold what it tells of, by the same transaction and for ever, and Data
// says where. OutboxConfig.Expand finds it when the fact is published. What comes
// of that must keep the contract and EnvelopeLimit, or it is never published.
func (o *Outbox) EncodeShort(ctx context.Context, envelope *eventv1.Envelope, sequence int64) (id string, data []byte, err error) {
	id, data, err = o.Encode(ctx, envelope, sequence)
	if err != nil {
		return "", nil, err
	}
	return id, append([]byte{shortMark}, data...), nil
}

// Decode is the envelope of a row of the outbox, made whole, and its encoding.
// Where it is short and cannot be made whole, there is an envelope beside the error.
func (o *Outbox) Decode(ctx context.Context, data []byte) (envelope *eventv1.Envelope, encoded []byte, err error) {
	data, short := bytes.CutPrefix(data, []byte{shortMark})
	envelope = new(eventv1.Envelope)
	if err := proto.Unmarshal(data, envelope); err != nil {
		return nil, nil, err
	}
	if !short {
		return envelope, data, nil
	}
	if o.cfg.Expand == nil {
		return envelope, nil, errNoExpand
	}
	if err := o.cfg.Expand(ctx, envelope); err != nil {
		return envelope, nil, err
	}
	encoded, err = encode(envelope)
	return envelope, encoded, err
}
