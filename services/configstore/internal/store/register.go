package store

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

const maxRegisterTries = 4

// Register adds an instance that disappears when it is not registered again
// within its lease, or renews it. Renewing writes nothing and changes no
// revision. The lease's length is that of the first registration. The answer
// is the revision of the instance's object.
func (s *Store) Register(ctx context.Context, tenant string, instance *configstorev1.Instance, seconds int64) (int64, error) {
	spec, err := anypb.New(instance)
	if err != nil {
		return 0, err
	}
	key := object.Key{Tenant: tenant, Kind: object.InstanceKind, Name: instance.GetId()}.Normal()
	c := &change{key: key, path: "instance"}
	if faults := s.checkPut(c, &configstorev1.Object{Spec: spec}); len(faults) > 0 {
		return 0, faults
	}
	for range maxRegisterTries {
		revision, done, err := s.tryRegister(ctx, c, seconds)
		if err != nil {
			return 0, fmt.Errorf("register %s: %w", instance.GetId(), err)
		}
		if done {
			return revision, nil
		}
	}
	return 0, fmt.Errorf("register %s: %w", instance.GetId(), ErrBusy)
}

func (s *Store) tryRegister(ctx context.Context, c *change, seconds int64) (revision int64, done bool, err error) {
	stored, err := s.instance(ctx, c.key)
	if err != nil {
		return 0, false, err
	}
	lease := stored.GetLease()
	if lease != 0 {
		alive, err := s.engine.Renew(ctx, lease)
		if err != nil {
			return 0, false, err
		}
		if !alive {
			lease = 0
		}
	}
	if lease != 0 {
		present, err := decodeObject(stored)
		if err != nil {
			return 0, false, err
		}
		if sameContent(c.put, present) {
			return stored.GetModRevision(), true, nil
		}
		return s.putInstance(ctx, c, stored.GetModRevision(), lease)
	}
	lease, err = s.engine.Grant(ctx, seconds)
	if err != nil {
		return 0, false, err
	}
	revision, done, err = s.putInstance(ctx, c, stored.GetModRevision(), lease)
	if !done {
		if revoked := s.engine.Revoke(context.WithoutCancel(ctx), lease); revoked != nil {
			s.log.Warn("unused lease is left to expire", "err", revoked)
		}
	}
	return revision, done, err
}

func (s *Store) putInstance(ctx context.Context, c *change, revision, lease int64) (int64, bool, error) {
	o := &configstorev1.Object{Spec: c.put.GetSpec(), UpdatedAt: s.clock().UnixMicro()}
	value, err := encodeObject(o)
	if err != nil {
		return 0, false, err
	}
	path := c.key.Path()
	beforeRegister.Hit()
	written, err := s.engine.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{unchanged(path, revision)},
		Success: []*pb.RequestOp{putOp(path, value, lease)},
	})
	if err != nil {
		return 0, false, err
	}
	afterRegister.Hit()
	return written.GetHeader().GetRevision(), written.GetSucceeded(), nil
}

// Deregister takes an instance out at once. One that is not there is no error.
func (s *Store) Deregister(ctx context.Context, tenant, id string) error {
	key := object.Key{Tenant: tenant, Kind: object.InstanceKind, Name: id}.Normal()
	stored, err := s.instance(ctx, key)
	if err != nil || stored == nil {
		return err
	}
	if err := s.engine.Revoke(ctx, stored.GetLease()); err != nil {
		return fmt.Errorf("deregister %s: %w", id, err)
	}
	return nil
}

// instance reads the stored object of an instance, nil where there is none.
func (s *Store) instance(ctx context.Context, key object.Key) (*mvccpb.KeyValue, error) {
	response, err := s.engine.Range(ctx, &pb.RangeRequest{Key: []byte(key.Path())})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if len(response.GetKvs()) == 0 {
		return nil, nil
	}
	return response.GetKvs()[0], nil
}
