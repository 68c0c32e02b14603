package xds

import (
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

func TestSecretThatCannotBeReadIsServedAsItWas(t *testing.T) {
	before, after := newState(), newState()
	key := &configstorev1.Key{Kind: "Secret", Namespace: "default", Name: "s"}
	spec, err := anypb.New(&gatewayv1.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.apply(&configstorev1.Event{Object: &configstorev1.Object{Key: key, Spec: spec}}); err != nil {
		t.Fatal(err)
	}
	after.keep(nil, key) // at the start
	after.keep(before, &configstorev1.Key{Kind: "Secret", Namespace: "default", Name: "other"})
	if len(after.secrets) != 0 {
		t.Errorf("secrets from nowhere: %v", after.secrets)
	}
	after.keep(before, key)
	if after.secrets[id{"default", "s"}] == nil {
		t.Error("the secret is gone")
	}
}
