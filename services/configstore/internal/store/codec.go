package store

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// encodeObject is the stored value: all but what the store's key and revision
// say already.
func encodeObject(o *configstorev1.Object) ([]byte, error) {
	return proto.Marshal(&configstorev1.Object{
		Labels: o.GetLabels(), Spec: o.GetSpec(), ReleaseId: o.GetReleaseId(), UpdatedAt: o.GetUpdatedAt(),
	})
}

func decodeObject(kv *mvccpb.KeyValue) (*configstorev1.Object, error) {
	key, err := object.ParsePath(string(kv.GetKey()))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", kv.GetKey(), err)
	}
	o := new(configstorev1.Object)
	if err := proto.Unmarshal(kv.GetValue(), o); err != nil {
		return nil, fmt.Errorf("%s at revision %d: %w", key, kv.GetModRevision(), err)
	}
	o.Key = protoKey(key)
	o.Revision = kv.GetModRevision()
	return o, nil
}

func protoKey(key object.Key) *configstorev1.Key {
	return &configstorev1.Key{Kind: key.Kind, Namespace: key.Normal().Namespace, Name: key.Name}
}

func keyOf(tenant string, key *configstorev1.Key) object.Key {
	return object.Key{Tenant: tenant, Kind: key.GetKind(), Namespace: key.GetNamespace(), Name: key.GetName()}.Normal()
}

func rangePrefix(prefix string) *pb.RangeRequest {
	return &pb.RangeRequest{Key: []byte(prefix), RangeEnd: engine.PrefixEnd(prefix)}
}

func rangeOp(request *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: request}}
}

func putOp(path string, value []byte, lease int64) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{
		RequestPut: &pb.PutRequest{Key: []byte(path), Value: value, Lease: lease},
	}}
}

func deleteOp(path string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(path)},
	}}
}

// unchanged is the condition that a key is still at a revision; 0: that it
// does not exist.
func unchanged(path string, revision int64) *pb.Compare {
	return &pb.Compare{
		Key: []byte(path), Result: pb.Compare_EQUAL, Target: pb.Compare_MOD,
		TargetUnion: &pb.Compare_ModRevision{ModRevision: revision},
	}
}
