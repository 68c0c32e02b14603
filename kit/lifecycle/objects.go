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

// EnsureObjects creates, one release each, the objects that the configstore
// does not have, in the background and as long as it takes. Existing ones
// stay as they are. Without a configstore it does nothing.
func (h *Host) EnsureObjects(objects ...Default) {
	if !h.process.links.hasConfigstore() {
		return
	}
	client := configstorev1.NewConfigServiceClient(h.Dial(configstoreName))
	h.Go("default objects", func(ctx context.Context) error {
		for _, object := range objects {
			if err := h.ensure(ctx, client, object); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *Host) ensure(ctx context.Context, client configstorev1.ConfigServiceClient, object Default) error {
	spec, err := anypb.New(object.Spec)
	if err != nil {
		return fmt.Errorf("%s %s: %w", object.Kind, object.Name, err)
	}
	request := &configstorev1.ApplyRequest{
		Reason: "default of " + h.name,
		Changes: []*configstorev1.Change{{
			ExpectedRevision: -1,
			Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
				Key:  &configstorev1.Key{Kind: object.Kind, Name: object.Name},
				Spec: spec,
			}},
		}},
	}
	for {
		_, err := client.Apply(ctx, request)
		switch connect.CodeOf(err) {
		case connect.CodeInvalidArgument, connect.CodeNotFound:
			return fmt.Errorf("%s %s: %w", object.Kind, object.Name, err)
		case connect.CodeAlreadyExists, connect.CodeAborted, connect.CodeFailedPrecondition:
			return nil
		}
		if err == nil {
			h.Log.Info("default object created", "kind", object.Kind, "name", object.Name)
			return nil
		}
		timer := time.NewTimer(registerRetry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}
