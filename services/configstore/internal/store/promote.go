package store

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/canary"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// A canary's record is written when it goes to another step and when it ends,
// and at no other time: each record by itself tells subscribers what changes
// for them, and is written only while the objects are what it says.

// AdvanceCanary takes a canary, as it was read, to its next step. Where others
// have changed its objects meanwhile it ends instead; what it has become is
// returned. ErrBusy: it is no longer as it was read.
func (s *Store) AdvanceCanary(ctx context.Context, tenant string, c *configstorev1.Canary, author string) (*configstorev1.Canary, error) {
	if err := mustRun(c); err != nil {
		return nil, err
	}
	if int(c.GetStep())+1 >= len(c.GetPlan().GetSteps()) {
		return nil, fmt.Errorf("%w: %s is at its last step", ErrCanary, c.GetId())
	}
	next, now := proto.CloneOf(c), s.clock().UnixMicro()
	next.Step, next.StepAt = c.GetStep()+1, now
	next.Revisions = append(next.GetRevisions(), c.GetRevision())
	next.Revision = 0
	note(next, now, author, fmt.Sprintf("went on to step %d", next.GetStep()+1))
	value, err := proto.Marshal(next)
	if err != nil {
		return nil, err
	}
	record := canaryPath(tenant, c.GetId())
	txn := &pb.TxnRequest{
		Compare: []*pb.Compare{unchanged(record, c.GetRevision())},
		Success: []*pb.RequestOp{putOp(record, value, 0)},
	}
	for _, change := range c.GetChanges() {
		txn.Compare = append(txn.Compare, unchanged(keyOf(tenant, canary.Key(change)).Path(), max(change.GetExpectedRevision(), 0)))
	}
	if done, err := s.writeCanary(ctx, txn, next); done || err != nil {
		return next, err
	}
	return s.conflictCanary(ctx, tenant, c)
}

// conflictCanary ends a canary whose objects others have changed, naming one.
func (s *Store) conflictCanary(ctx context.Context, tenant string, c *configstorev1.Canary) (*configstorev1.Canary, error) {
	now, err := s.objectsOf(ctx, tenant, c)
	if err != nil {
		return nil, err
	}
	for n, change := range c.GetChanges() {
		if expected := max(change.GetExpectedRevision(), 0); now[n].GetRevision() != expected {
			why := fmt.Sprintf("%s was changed by somebody else: it was at revision %d, and is at %d",
				keyOf(tenant, canary.Key(change)), expected, now[n].GetRevision())
			return s.EndCanary(ctx, tenant, c, configstorev1.Canary_STATE_CONFLICTED, "", why)
		}
	}
	return nil, fmt.Errorf("canary %s: %w", c.GetId(), ErrBusy)
}

// PromoteCanary makes the release of a canary, as it was read: all of it or
// nothing. Where that is refused the canary ends, with the reason as verdict.
func (s *Store) PromoteCanary(ctx context.Context, tenant string, c *configstorev1.Canary, author string) (*configstorev1.Canary, error) {
	if err := mustRun(c); err != nil {
		return nil, err
	}
	ended, now := proto.CloneOf(c), s.clock().UnixMicro()
	ended.State, ended.Before, ended.Revision = configstorev1.Canary_STATE_PROMOTED, nil, 0
	ended.Verdict = "all have it"
	note(ended, now, author, "became a release")
	value, err := proto.Marshal(ended)
	if err != nil {
		return nil, err
	}
	reason := "canary " + c.GetId()
	if c.GetReason() != "" {
		reason = c.GetReason() + " (" + reason + ")"
	}
	record := canaryPath(tenant, c.GetId())
	result, err := s.Apply(ctx, Request{
		Tenant: tenant, Author: c.GetAuthor(), Reason: reason, Changes: c.GetChanges(),
		with: &companion{unchanged(record, c.GetRevision()), putOp(record, value, 0)},
	})
	var faults object.Faults
	switch {
	case errors.Is(err, object.ErrConflict), errors.Is(err, object.ErrExists):
		return s.conflictCanary(ctx, tenant, c)
	case errors.As(err, &faults):
		return s.EndCanary(ctx, tenant, c, configstorev1.Canary_STATE_ROLLED_BACK, "", "its release is refused: "+err.Error())
	case err != nil:
		return nil, err
	}
	ended.Revision, ended.ReleaseId = result.Release.GetRevision(), result.Release.GetId()
	return ended, s.archiveCanary(ctx, tenant, ended)
}

// EndCanary takes a canary, as it was read, back: its instances are given what
// is in force. ErrBusy: it is no longer as it was read.
func (s *Store) EndCanary(
	ctx context.Context, tenant string, c *configstorev1.Canary, state configstorev1.Canary_State, author, why string,
) (*configstorev1.Canary, error) {
	if err := mustRun(c); err != nil {
		return nil, err
	}
	record := canaryPath(tenant, c.GetId())
	for range maxApplyTries {
		now, err := s.objectsOf(ctx, tenant, c)
		if err != nil {
			return nil, err
		}
		ended, at := proto.CloneOf(c), s.clock().UnixMicro()
		ended.State, ended.Verdict, ended.Before, ended.Revision = state, why, now, 0
		note(ended, at, author, "was taken back: "+why)
		value, err := proto.Marshal(ended)
		if err != nil {
			return nil, err
		}
		txn := &pb.TxnRequest{
			Compare: []*pb.Compare{unchanged(record, c.GetRevision())},
			Success: []*pb.RequestOp{putOp(record, value, 0)},
		}
		for n, change := range c.GetChanges() {
			txn.Compare = append(txn.Compare, unchanged(keyOf(tenant, canary.Key(change)).Path(), now[n].GetRevision()))
		}
		if done, err := s.writeCanary(ctx, txn, ended); done || err != nil {
			return ended, err
		}
		if found, err := s.Canary(ctx, tenant, c.GetId()); err != nil || found.GetRevision() != c.GetRevision() {
			return nil, errors.Join(err, fmt.Errorf("canary %s: %w", c.GetId(), ErrBusy))
		}
	}
	return nil, ErrBusy
}

func mustRun(c *configstorev1.Canary) error {
	if c.GetState() != running {
		return fmt.Errorf("%w: %s has ended: %s", ErrCanary, c.GetId(), c.GetVerdict())
	}
	return nil
}

// objectsOf reads what is in force of a canary's objects; of one that does not
// exist there is the key only.
func (s *Store) objectsOf(ctx context.Context, tenant string, c *configstorev1.Canary) ([]*configstorev1.Object, error) {
	changes := make([]*change, len(c.GetChanges()))
	for n, one := range c.GetChanges() {
		changes[n] = &change{key: keyOf(tenant, canary.Key(one))}
	}
	if err := s.readState(ctx, changes, new(look)); err != nil {
		return nil, err
	}
	now := make([]*configstorev1.Object, len(changes))
	for n, one := range changes {
		if now[n] = one.present; now[n] == nil {
			now[n] = &configstorev1.Object{Key: protoKey(one.key)}
		}
	}
	return now, nil
}

// archiveCanary puts an ended canary away, and forgets the oldest. Subscribers
// do not notice. Where this fails it is done later.
func (s *Store) archiveCanary(ctx context.Context, tenant string, c *configstorev1.Canary) error {
	kept := proto.CloneOf(c)
	kept.Before = nil
	value, err := proto.Marshal(kept)
	if err != nil {
		return err
	}
	record := canaryPath(tenant, c.GetId())
	_, err = s.engine.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{unchanged(record, c.GetRevision())},
		Success: []*pb.RequestOp{deleteOp(record), putOp(endedPath(tenant, c.GetId()), value, 0)},
	})
	if err != nil {
		return fmt.Errorf("archive canary %s: %w", c.GetId(), err)
	}
	return s.forgetEnded(ctx, tenant)
}

// ArchiveCanary puts an ended canary away.
func (s *Store) ArchiveCanary(ctx context.Context, tenant string, c *configstorev1.Canary) error {
	if c.GetState() == running {
		return fmt.Errorf("%w: %s runs", ErrCanary, c.GetId())
	}
	return s.archiveCanary(ctx, tenant, c)
}

func (s *Store) forgetEnded(ctx context.Context, tenant string) error {
	request := rangePrefix(endedRoot + tenant + "/")
	request.KeysOnly = true
	response, err := s.engine.Range(ctx, request)
	if err != nil {
		return fmt.Errorf("list ended canaries: %w", err)
	}
	extra := len(response.GetKvs()) - maxEnded
	if extra <= 0 {
		return nil
	}
	txn := new(pb.TxnRequest)
	for _, kv := range response.GetKvs()[:extra] { // UUIDv7: the oldest
		txn.Success = append(txn.Success, deleteOp(string(kv.GetKey())))
	}
	_, err = s.engine.Txn(ctx, txn)
	return err
}
