package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
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
			c.path = "changes[" + strconv.Itoa(n) + "].put"
			c.key = keyOf(request.Tenant, put.GetKey())
			total += len(put.GetSpec().GetValue())
			faults = append(faults, s.checkPut(c, put)...)
		} else {
			c.path = "changes[" + strconv.Itoa(n) + "].delete"
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
	faults = append(faults, checkRequestID(request.ID)...)
	return changes, faults.Err()
}

// checkPut decodes the spec and brings it into its one deterministic form.
func (s *Store) checkPut(c *change, put *configstorev1.Object) object.Faults {
	if err := s.knownKind(c.key.Kind, c.path+".key.kind"); err != nil {
		var unknown object.Faults
		errors.As(err, &unknown)
		return unknown
	}
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

// look is how and when the objects of a release were read.
type look struct {
	local    bool  // by what this member has, which may be behind
	revision int64 // of the store that was read
}

// decides leaves what is wrong with a release to another look, where this one
// was at what may be behind.
func (l look) decides(err error) error {
	var faults object.Faults
	if l.local && errors.As(err, &faults) {
		return nil
	}
	return err
}

// linked tells whether a release touches kinds that refer to each other.
func linked(changes []*change) bool {
	return slices.ContainsFunc(changes, func(c *change) bool { return object.Linked(c.key.Kind) })
}

// readState reads the objects of all changes at one revision, which it notes.
func (s *Store) readState(ctx context.Context, changes []*change, at *look) error {
	keys := make([][]byte, len(changes))
	for n, c := range changes {
		keys[n] = []byte(c.key.Path())
	}
	var found []*mvccpb.KeyValue
	var revision int64
	var err error
	if at.local {
		found, revision, err = s.engine.Local(ctx, keys)
	} else {
		found, revision, err = s.readAll(ctx, keys, 0)
	}
	if err != nil {
		return fmt.Errorf("read objects: %w", err)
	}
	at.revision = revision
	for n, kv := range found {
		changes[n].present, changes[n].version = nil, kv.GetVersion()
		if kv == nil {
			continue
		}
		if changes[n].present, err = s.entry(kv); err != nil {
			return err
		}
	}
	return nil
}

// readAll is engine.Local by a linearizable read, at a revision; 0: now.
func (s *Store) readAll(ctx context.Context, keys [][]byte, at int64) (found []*mvccpb.KeyValue, revision int64, err error) {
	read := &pb.TxnRequest{Success: make([]*pb.RequestOp, len(keys))}
	for n, key := range keys {
		read.Success[n] = rangeOp(&pb.RangeRequest{Key: key, Revision: at})
	}
	response, err := s.engine.Txn(ctx, read)
	if err != nil {
		return nil, 0, err
	}
	found = make([]*mvccpb.KeyValue, len(keys))
	for n, answer := range response.GetResponses() {
		if kvs := answer.GetResponseRange().GetKvs(); len(kvs) > 0 {
			found[n] = kvs[0]
		}
	}
	return found, response.GetHeader().GetRevision(), nil
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
