package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// maxApplyTries bounds how often a release starts anew because others changed
// what it had read.
const maxApplyTries = 16

// Request is a release to be.
type Request struct {
	Tenant  string
	Author  string
	Reason  string
	Changes []*configstorev1.Change
	DryRun  bool

	with *companion // written together with the release
}

// Result is a release, and the objects as they are after it, in order of the
// changes. Of a deleted one there is the key only.
type Result struct {
	Release *configstorev1.Release
	Objects []*configstorev1.Object
}

// Apply writes all changes or none. Puts that change nothing and deletions of
// what does not exist are not written; a release of nothing else is none: its
// id is empty.
func (s *Store) Apply(ctx context.Context, request Request) (Result, error) {
	changes, err := s.check(request)
	if err != nil {
		s.metrics.releases.WithLabelValues("refused").Inc()
		return Result{}, err
	}
	if linked(changes) {
		// Such releases exclude each other by the guard; queueing those of
		// this member spares them from trying in vain.
		s.linked.Lock()
		defer s.linked.Unlock()
	}
	for range maxApplyTries {
		result, done, err := s.try(ctx, request, changes)
		if err != nil {
			s.metrics.releases.WithLabelValues("refused").Inc()
			return Result{}, err
		}
		if done {
			return result, nil
		}
		s.metrics.conflicts.Inc()
	}
	s.metrics.releases.WithLabelValues("busy").Inc()
	return Result{}, ErrBusy
}

// change is one checked change and what the store holds of its object.
type change struct {
	key      object.Key
	path     string // of the field in the request, `changes[3].put`
	expected int64
	put      *configstorev1.Object // nil: delete
	message  proto.Message         // decoded spec of put

	present *configstorev1.Object // as read; nil: does not exist
}

// writes tells whether the change makes a difference.
func (c *change) writes() bool {
	if c.put == nil {
		return c.present != nil
	}
	return c.present == nil || !sameContent(c.put, c.present)
}

func (c *change) presentRevision() int64 { return c.present.GetRevision() }

// try reads, checks against what it read, and writes if that is still so. It
// is not done where it was not.
func (s *Store) try(ctx context.Context, request Request, changes []*change) (Result, bool, error) {
	guard, err := s.readState(ctx, request.Tenant, changes)
	if err != nil {
		return Result{}, false, err
	}
	if err := checkRevisions(changes); err != nil {
		return Result{}, false, err
	}
	if guard.needed {
		if err := s.checkReferences(ctx, changes, guard.readAt); err != nil {
			return Result{}, false, err
		}
	}
	release, err := s.newRelease(request, changes)
	if err != nil {
		return Result{}, false, err
	}
	if request.DryRun || len(release.GetKeys()) == 0 {
		release.Revision = guard.readAt
		return Result{release, after(changes, release)}, true, nil
	}
	txn, err := s.transaction(request.Tenant, changes, release, guard)
	if err != nil {
		return Result{}, false, err
	}
	if request.with != nil {
		txn.Compare, txn.Success = append(txn.Compare, request.with.compare), append(txn.Success, request.with.op)
	}
	beforeApply.Hit()
	written, err := s.engine.Txn(ctx, txn)
	if err != nil {
		return Result{}, false, fmt.Errorf("write release: %w", err)
	}
	afterApply.Hit()
	if !written.GetSucceeded() {
		return Result{}, false, nil
	}
	release.Revision = written.GetHeader().GetRevision()
	s.metrics.releases.WithLabelValues("applied").Inc()
	s.metrics.changes.Add(float64(len(release.GetKeys())))
	s.log.Info("release applied", "release_id", release.GetId(), "revision", release.GetRevision(),
		"author", release.GetAuthor(), "changes", len(release.GetKeys()))
	return Result{release, after(changes, release)}, true, nil
}

// newRelease describes the changes that are written. A dry run and a release
// without changes have no id.
func (s *Store) newRelease(request Request, changes []*change) (*configstorev1.Release, error) {
	release := &configstorev1.Release{
		Author: request.Author, Reason: request.Reason, CreatedAt: s.clock().UnixMicro(),
	}
	for _, c := range changes {
		if c.writes() {
			release.Keys = append(release.Keys, protoKey(c.key))
		}
	}
	if request.DryRun || len(release.GetKeys()) == 0 {
		return release, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make release id: %w", err)
	}
	release.Id = id.String()
	return release, nil
}

// transaction writes the release if nothing that it touches has changed.
func (s *Store) transaction(
	tenant string, changes []*change, release *configstorev1.Release, guard guard,
) (*pb.TxnRequest, error) {
	txn := new(pb.TxnRequest)
	for _, c := range changes {
		txn.Compare = append(txn.Compare, unchanged(c.key.Path(), c.presentRevision()))
		switch {
		case !c.writes():
		case c.put == nil:
			txn.Success = append(txn.Success, deleteOp(c.key.Path()))
		default:
			value, err := encodeObject(fresh(c, release))
			if err != nil {
				return nil, err
			}
			txn.Success = append(txn.Success, putOp(c.key.Path(), value, 0))
		}
	}
	record, err := proto.Marshal(release)
	if err != nil {
		return nil, err
	}
	txn.Success = append(txn.Success, putOp(releasesRoot+tenant+"/"+release.GetId(), record, 0))
	if guard.needed {
		txn.Compare = append(txn.Compare, unchanged(guardRoot+tenant, guard.revision))
		txn.Success = append(txn.Success, putOp(guardRoot+tenant, nil, 0))
	}
	return txn, nil
}

// fresh is the object that a put writes; one that is only checked has no
// revision.
func fresh(c *change, release *configstorev1.Release) *configstorev1.Object {
	o := &configstorev1.Object{
		Key: protoKey(c.key), Labels: c.put.GetLabels(), Spec: c.put.GetSpec(),
		ReleaseId: release.GetId(), UpdatedAt: release.GetCreatedAt(),
	}
	if o.GetReleaseId() != "" {
		o.Revision = release.GetRevision()
	}
	return o
}

// after is every object as it is once the release is written.
func after(changes []*change, release *configstorev1.Release) []*configstorev1.Object {
	objects := make([]*configstorev1.Object, len(changes))
	for n, c := range changes {
		switch {
		case c.put == nil:
			objects[n] = &configstorev1.Object{Key: protoKey(c.key)}
		case c.writes():
			objects[n] = fresh(c, release)
		default:
			objects[n] = c.present
		}
	}
	return objects
}

func sameContent(a, b *configstorev1.Object) bool {
	if len(a.GetLabels()) != len(b.GetLabels()) || !sameSpec(a.GetSpec(), b.GetSpec()) {
		return false
	}
	for name, value := range a.GetLabels() {
		if other, found := b.GetLabels()[name]; !found || other != value {
			return false
		}
	}
	return true
}

func sameSpec(a, b *anypb.Any) bool {
	return a.GetTypeUrl() == b.GetTypeUrl() && string(a.GetValue()) == string(b.GetValue())
}
