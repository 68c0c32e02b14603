package informer

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
)

type remote struct {
	client     configstorev1connect.ConfigServiceClient
	subscriber *configstorev1.Subscriber // nil: is in no canary
}

// NewRemote returns the objects of the configstore at baseURL. The HTTP client
// must not limit the whole exchange in time: watches are without end.
func NewRemote(client connect.HTTPClient, baseURL string, options ...connect.ClientOption) Source {
	return NewRemoteFor(nil, client, baseURL, options...)
}

// NewRemoteFor is NewRemote for a process that canaries may choose.
func NewRemoteFor(
	subscriber *configstorev1.Subscriber, client connect.HTTPClient, baseURL string, options ...connect.ClientOption,
) Source {
	return &remote{configstorev1connect.NewConfigServiceClient(client, baseURL, options...), subscriber}
}

// List implements Source.
func (r *remote) List(ctx context.Context, kind, namespace string, deliver func([]Item) error) (int64, error) {
	list, err := r.client.List(ctx, &configstorev1.ListRequest{Kind: kind, Namespace: namespace, Subscriber: r.subscriber})
	if err != nil {
		return 0, fmt.Errorf("list %s: %w", kind, err)
	}
	items := make([]Item, 0, len(list.GetObjects()))
	for _, object := range list.GetObjects() {
		items = append(items, itemOf(object))
	}
	return list.GetRevision(), deliver(items)
}

// Watch implements Source.
func (r *remote) Watch(ctx context.Context, kind, namespace string, from int64, deliver func(Batch) error) error {
	request := &configstorev1.WatchRequest{Kind: kind, Namespace: namespace, FromRevision: from, Subscriber: r.subscriber}
	stream, err := r.client.Watch(ctx, request)
	if err != nil {
		return watchError(kind, err)
	}
	defer stream.Close()
	for stream.Receive() {
		if err := deliver(batchOf(stream.Msg())); err != nil {
			return err
		}
	}
	return watchError(kind, stream.Err())
}

// watchError turns the end of a stream into what Watch promises.
func watchError(kind string, err error) error {
	switch {
	case err == nil:
		err = errors.New("the server ended the stream")
	case connect.CodeOf(err) == connect.CodeOutOfRange:
		err = fmt.Errorf("%w: %w", ErrCompacted, err)
	}
	return fmt.Errorf("watch %s: %w", kind, err)
}

func batchOf(response *configstorev1.WatchResponse) Batch {
	batch := Batch{Revision: response.GetRevision(), Changes: make([]Change, 0, len(response.GetEvents()))}
	for _, event := range response.GetEvents() {
		if event.GetObject().GetUnreadable() {
			continue // it stays as it was
		}
		batch.Changes = append(batch.Changes, Change{
			Item:    itemOf(event.GetObject()),
			Deleted: event.GetType() == configstorev1.Event_TYPE_DELETE,
		})
	}
	return batch
}

func itemOf(object *configstorev1.Object) Item {
	return Item{
		Namespace: object.GetKey().GetNamespace(),
		Name:      object.GetKey().GetName(),
		Labels:    object.GetLabels(),
		Spec:      object.GetSpec().GetValue(),
		Revision:  object.GetRevision(),
		ReleaseID: object.GetReleaseId(),

		Unreadable: object.GetUnreadable(),
	}
}

func objectOf(kind string, item Item) *configstorev1.Object {
	return &configstorev1.Object{
		Key:       &configstorev1.Key{Kind: kind, Namespace: item.Namespace, Name: item.Name},
		Labels:    item.Labels,
		Spec:      &anypb.Any{Value: item.Spec},
		Revision:  item.Revision,
		ReleaseId: item.ReleaseID,
	}
}
