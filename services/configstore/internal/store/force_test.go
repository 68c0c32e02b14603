package store

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/seal"
)

// openWith is a store with keys over an engine of its own.
func openWith(t *testing.T, log *slog.Logger, fill ...byte) (*engine.Engine, *Store) {
	t.Helper()
	var keys [][]byte
	for _, b := range fill {
		keys = append(keys, bytes.Repeat([]byte{b}, 32))
	}
	ring, err := seal.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	s, err := Open(t.Context(), e, Config{Keys: ring, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return e, s
}

func putSecret(t *testing.T, text string) Request {
	t.Helper()
	spec, err := anypb.New(&gatewayv1.Secret{Material: &gatewayv1.Secret_Authority{
		Authority: &gatewayv1.Material{Source: &gatewayv1.Material_File{File: "/" + text}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return Request{Tenant: "main", Author: "a", Changes: []*configstorev1.Change{{Change: &configstorev1.Change_Put{
		Put: &configstorev1.Object{Key: &configstorev1.Key{Kind: "Secret", Name: "s"}, Spec: spec},
	}}}}
}

// TestNothingIsWrittenUnderAKeyThatIsNotInForce has a member that has not heard
// of another key yet, as one whose watch is behind.
func TestNothingIsWrittenUnderAKeyThatIsNotInForce(t *testing.T) {
	_, s := openWith(t, nil, 2, 1)
	old := force{id: s.sealer.ring.IDs()[1], revision: 1}
	s.sealer.inForce.Store(&old)
	if _, err := s.Apply(t.Context(), putSecret(t, "one")); err != nil {
		t.Fatal(err)
	}
	key := object.Key{Tenant: "main", Kind: "Secret", Name: "s"}
	kv, err := one(t.Context(), s.engine, key.Path())
	if err != nil {
		t.Fatal(err)
	}
	if id, _ := s.keyOfValue(kv); id != s.sealer.ring.Newest() {
		t.Errorf("written under key %q, and %q is in force", id, s.sealer.ring.Newest())
	}
	s.sealer.inForce.Store(&old)
	_, err = s.CreateDraft(t.Context(), putSecret(t, "two"))
	if err == nil {
		t.Error("a draft was written under a key that is not in force")
	}
}

func TestUnreadableSecretIsLoggedWhenItBeginsAndWhenItEnds(t *testing.T) {
	var logged bytes.Buffer
	e, s := openWith(t, slog.New(slog.NewTextHandler(&logged, nil)), 1)
	first, err := s.Apply(t.Context(), putSecret(t, "one"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.hub.waitRevision(t.Context(), first.Release.GetRevision()); err != nil {
		t.Fatal(err)
	}
	path := object.Key{Tenant: "main", Kind: "Secret", Name: "s"}.Path()
	sub, err := s.Subscribe(t.Context(), "main", "Secret", "", first.Release.GetRevision())
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	value, err := proto.Marshal(&configstorev1.Object{Spec: &anypb.Any{TypeUrl: sealedURL, Value: []byte("broken")}})
	if err != nil {
		t.Fatal(err)
	}
	written, err := e.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{putOp(path, value, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.hub.waitRevision(t.Context(), written.GetHeader().GetRevision()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if listed, _, err := s.List(t.Context(), "main", "Secret", ""); err != nil || len(listed) != 1 || !listed[0].GetUnreadable() {
			t.Fatalf("listed: %v, %v", listed, err)
		}
	}
	if n := s.unreadable.count.Load(); n != 1 {
		t.Errorf("%d are unreadable, want 1", n)
	}
	release, err := s.Apply(t.Context(), putSecret(t, "anew"))
	if err != nil {
		t.Fatal(err)
	}
	batch, err := sub.Next()
	if err != nil || len(batch.Events) != 1 || batch.Events[0].GetObject().GetReleaseId() != release.Release.GetId() {
		t.Errorf("a subscriber is told %v, %v, want the release alone", batch, err)
	}
	if n := s.unreadable.count.Load(); n != 0 {
		t.Errorf("%d are unreadable, want none", n)
	}
	s.Close()
	for text, want := range map[string]int{"a secret cannot be read": 1, "a secret can be read again": 1} {
		if n := strings.Count(logged.String(), text); n != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", text, n, want, logged.String())
		}
	}
}
