package api

import (
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

func TestReadersDoNotSeeSecrets(t *testing.T) {
	const material = "-----BEGIN PRIVATE KEY-----"
	spec, err := anypb.New(&gatewayv1.Secret{Material: &gatewayv1.Secret_Certificate{Certificate: &gatewayv1.Certificate{
		Key: &gatewayv1.Material{Source: &gatewayv1.Material_Inline{Inline: material}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := store.Open(t.Context(), e, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	show := shower{s}
	secret := &configstorev1.Object{Key: &configstorev1.Key{Kind: "Secret", Name: "a"}, Spec: spec, Revision: 7}
	other := &configstorev1.Object{Key: &configstorev1.Key{Kind: "Route", Name: "a"}, Spec: spec}
	seen := show.objects([]*configstorev1.Object{other, secret})
	if seen[0] != other || strings.Contains(string(seen[1].GetSpec().GetValue()), material) || seen[1].GetRevision() != 7 {
		t.Errorf("listed: %v", seen)
	}
	events := show.events([]*configstorev1.Event{{Type: configstorev1.Event_TYPE_PUT, Object: secret}, {Type: configstorev1.Event_TYPE_DELETE, Object: &configstorev1.Object{Key: secret.GetKey()}}})
	if strings.Contains(string(events[0].GetObject().GetSpec().GetValue()), material) || events[1].GetType() != configstorev1.Event_TYPE_DELETE {
		t.Errorf("watched: %v", events)
	}
	if !strings.Contains(string(secret.GetSpec().GetValue()), material) {
		t.Error("the stored object was changed")
	}
}
