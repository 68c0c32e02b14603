package lifecycle

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// Default is a configuration object that a service brings along.
type Default struct {
	Kind, Name string
	Spec       proto.Message
}

// EnsureObjects creates, in one release, the objects that the configstore
// does not have, in the background and as long as it takes. Existing ones
// stay as they are. Without a configstore it does nothing.
func (h *Host) EnsureObjects(objects ...Default) {
	if !h.process.links.hasConfigstore() {
		return
	}
	client := configstorev1.NewConfigServiceClient(h.Dial(configstoreName))
	h.Go("default objects", func(ctx context.Context) error {
		for ctx.Err() == nil {
			err := h.ensure(ctx, client, objects)
			if err == nil {
				return nil
			}
			if connect.CodeOf(err) == connect.CodeInvalidArgument {
				return err
			}
			h.Log.Debug("default objects wait", "err", err)
			timer := time.NewTimer(registerRetry)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
		}
		return nil
	})
}

// ensure creates what is missing now. Where somebody else is quicker it
// fails and is called again.
func (h *Host) ensure(ctx context.Context, client configstorev1.ConfigServiceClient, objects []Default) error {
	request := &configstorev1.ApplyRequest{Reason: "defaults of " + h.name}
	for _, object := range objects {
		key := &configstorev1.Key{Kind: object.Kind, Name: object.Name}
		_, err := client.Get(ctx, &configstorev1.GetRequest{Key: key})
		if err == nil {
			continue
		}
		if connect.CodeOf(err) != connect.CodeNotFound {
			return err
		}
		spec, err := anypb.New(object.Spec)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.Kind, object.Name, err)
		}
		request.Changes = append(request.Changes, &configstorev1.Change{
			ExpectedRevision: -1,
			Change:           &configstorev1.Change_Put{Put: &configstorev1.Object{Key: key, Spec: spec}},
		})
	}
	if len(request.GetChanges()) == 0 {
		return nil
	}
	if _, err := client.Apply(ctx, request); err != nil {
		return err
	}
	h.Log.Info("default objects created", "count", len(request.GetChanges()))
	return nil
}
