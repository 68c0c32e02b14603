package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// check is all that can be said of a release without the store.
func (s *Store) check(request Request) ([]*change, error) {
	var faults object.Faults
	seen := make(map[object.Key]bool, len(request.Changes))
	changes := make([]*change, 0, len(request.Changes))
	total := 0
	for n, raw := range request.Changes {
		c := &change{expected: raw.GetExpectedRevision()}
		if put := raw.GetPut(); put != nil {
			c.path = fmt.Sprintf("changes[%d].put", n)
			c.key = keyOf(request.Tenant, put.GetKey())
			total += len(put.GetSpec().GetValue())
			faults = append(faults, s.checkPut(c, put)...)
		} else {
			c.path = fmt.Sprintf("changes[%d].delete", n)
			c.key = keyOf(request.Tenant, raw.GetDelete())
			if err := s.knownKind(c.key.Kind, c.path+".kind"); err != nil {
				var unknown object.Faults
				errors.As(err, &unknown)
				faults = append(faults, unknown...)
			}
		}
		if seen[c.key] {
			faults = append(faults, object.Faultf(object.ErrInvalid, c.path, "%s is changed twice", c.key))
		}
		if c.key.Kind == object.InstanceKind {
			faults = append(faults, object.Faultf(object.ErrReserved, c.path, "instances come and go by registration only"))
		}
		seen[c.key] = true
		changes = append(changes, c)
	}
	if total > object.MaxReleaseBytes {
		faults = append(faults, object.Faultf(object.ErrTooLarge, "changes", "%d bytes of specs, at most %d", total, object.MaxReleaseBytes))
	}
	return changes, faults.Err()
}

// checkPut decodes the spec and brings it into its one deterministic form.
func (s *Store) checkPut(c *change, put *configstorev1.Object) object.Faults {
	message, faults := s.kinds.Check(c.key.Kind, put.GetSpec(), c.path+".spec")
	if len(faults) > 0 {
		return faults
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return object.Faults{object.Faultf(object.ErrInvalid, c.path+".spec", "%v", err)}
	}
	c.message = message
	c.put = &configstorev1.Object{
		Labels: put.GetLabels(),
		Spec:   &anypb.Any{TypeUrl: "type.googleapis.com/" + string(message.ProtoReflect().Descriptor().FullName()), Value: value},
	}
	return nil
}

// guard is the state of the tenant's guard key: releases of kinds that refer
// to each other compare and write it, so that none is checked against what
// another one is about to change.
type guard struct {
	needed   bool
	revision int64
	readAt   int64 // revision of the store that was read
}

// linked tells whether a release touches kinds that refer to each other.
func linked(changes []*change) bool {
	return slices.ContainsFunc(changes, func(c *change) bool { return object.Linked(c.key.Kind) })
}

// readState reads the objects of all changes at one revision.
func (s *Store) readState(ctx context.Context, tenant string, changes []*change) (guard, error) {
	read := &pb.TxnRequest{Success: []*pb.RequestOp{getOp(guardRoot + tenant)}}
	state := guard{needed: linked(changes)}
	for _, c := range changes {
		read.Success = append(read.Success, getOp(c.key.Path()))
	}
	response, err := s.engine.Txn(ctx, read)
	if err != nil {
		return guard{}, fmt.Errorf("read objects: %w", err)
	}
	state.readAt = response.GetHeader().GetRevision()
	for n, answer := range response.GetResponses() {
		kvs := answer.GetResponseRange().GetKvs()
		switch {
		case n == 0 && len(kvs) > 0:
			state.revision = kvs[0].GetModRevision()
		case n == 0:
		case len(kvs) == 0:
			changes[n-1].present = nil
		default:
			if changes[n-1].present, err = decodeObject(kvs[0]); err != nil {
				return guard{}, err
			}
		}
	}
	return state, nil
}

// checkRevisions compares what is expected with what was read.
func checkRevisions(changes []*change) error {
	var faults object.Faults
	for _, c := range changes {
		found := c.presentRevision()
		switch {
		case c.expected == 0 || c.expected == found:
		case c.expected == -1 && found == 0:
		case c.expected == -1:
			faults = append(faults, object.Faultf(object.ErrExists, c.path, "%s exists since revision %d", c.key, found))
		case found == 0:
			faults = append(faults, object.Faultf(object.ErrConflict, c.path, "%s does not exist; expected revision %d", c.key, c.expected))
		default:
			faults = append(faults, object.Faultf(object.ErrConflict, c.path, "%s is at revision %d; expected %d", c.key, found, c.expected))
		}
	}
	return faults.Err()
}

// checkReferences makes sure that after the release every reference of what it
// puts leads somewhere and nothing refers to what it deletes. It reads at the
// revision that the rest of the release was read at.
func (s *Store) checkReferences(ctx context.Context, changes []*change, revision int64) error {
	release := make(map[object.Key]*change, len(changes))
	for _, c := range changes {
		release[c.key] = c
	}
	var faults object.Faults
	for _, c := range changes {
		var err error
		var found object.Faults
		if c.put != nil {
			found, err = s.danglingTargets(ctx, c, release, revision)
		} else if c.present != nil {
			found, err = s.referrers(ctx, c, release, revision)
		}
		if err != nil {
			return err
		}
		faults = append(faults, found...)
	}
	return faults.Err()
}

func (s *Store) danglingTargets(
	ctx context.Context, c *change, release map[object.Key]*change, revision int64,
) (faults object.Faults, _ error) {
	for _, target := range object.Targets(c.key, c.message) {
		if other, changed := release[target.Key]; changed {
			if other.put == nil {
				faults = append(faults, object.Faultf(object.ErrReference, c.path+".spec."+target.Field, "%s is deleted by this release", target.Key))
			}
			continue
		}
		response, err := s.engine.Range(ctx, &pb.RangeRequest{Key: []byte(target.Path()), Revision: revision, CountOnly: true})
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", target.Key, err)
		}
		if response.GetCount() == 0 {
			faults = append(faults, object.Faultf(object.ErrReference, c.path+".spec."+target.Field, "%s does not exist", target.Key))
		}
	}
	return faults, nil
}

func (s *Store) referrers(
	ctx context.Context, c *change, release map[object.Key]*change, revision int64,
) (faults object.Faults, _ error) {
	for _, kind := range object.Referrers(c.key.Kind) {
		request := rangePrefix(object.Prefix(c.key.Tenant, kind, c.key.Namespace))
		request.Revision = revision
		response, err := s.engine.Range(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("look for users of %s: %w", c.key, err)
		}
		for _, kv := range response.GetKvs() {
			o, err := decodeObject(kv)
			if err != nil {
				return nil, err
			}
			key := keyOf(c.key.Tenant, o.GetKey())
			if _, changed := release[key]; changed {
				continue // a put is checked for itself
			}
			message, _ := s.kinds.Check(kind, o.GetSpec(), "")
			if message == nil {
				continue
			}
			for _, target := range object.Targets(key, message) {
				if target.Key == c.key {
					faults = append(faults, object.Faultf(object.ErrReference, c.path, "%s is used by %s", c.key, key))
				}
			}
		}
	}
	return faults, nil
}
