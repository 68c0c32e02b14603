package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

const (
	draftsRoot = root + "drafts/"
	// MaxDrafts bounds the drafts of a tenant.
	MaxDrafts = 200
	// maxReviews bounds those of one draft.
	maxReviews = 50
)

var (
	// ErrReview means that a draft may not be released, or not be reviewed by
	// who asks.
	ErrReview = errors.New("review")
	// ErrDrafts means that there are too many drafts.
	ErrDrafts = errors.New("too many drafts")
)

// CreateDraft keeps a release for later. Its changes are checked now, and get
// the revisions that their objects have, so that nothing that changes until
// the release goes unseen.
func (s *Store) CreateDraft(ctx context.Context, request Request) (*configstorev1.Draft, error) {
	changes, err := s.check(request)
	if err != nil {
		return nil, err
	}
	var at look
	if err := s.readState(ctx, changes, &at); err != nil {
		return nil, err
	}
	if _, err := s.checkState(ctx, changes, at); err != nil {
		return nil, err
	}
	drafts, err := s.Drafts(ctx, request.Tenant)
	if err != nil {
		return nil, err
	}
	if len(drafts) >= MaxDrafts {
		return nil, fmt.Errorf("%w: %d; release or drop some", ErrDrafts, len(drafts))
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make draft id: %w", err)
	}
	draft := &configstorev1.Draft{
		Id: id.String(), Author: request.Author, Reason: request.Reason, CreatedAt: s.clock().UnixMicro(),
	}
	for n, c := range changes {
		kept := proto.CloneOf(request.Changes[n])
		if kept.ExpectedRevision = c.presentRevision(); c.present == nil {
			kept.ExpectedRevision = -1
			if c.put == nil {
				kept.ExpectedRevision = 0
			}
		}
		draft.Changes = append(draft.Changes, kept)
	}
	return draft, s.saveDraft(ctx, request.Tenant, draft, nil)
}

// saveDraft writes a draft if it is still what was read; nil: is new.
func (s *Store) saveDraft(ctx context.Context, tenant string, draft *configstorev1.Draft, read *mvccpb.KeyValue) error {
	path := draftPath(tenant, draft.GetId())
	conditions := []*pb.Compare{unchanged(path, read.GetModRevision())}
	if s.sealer.ring != nil {
		conditions = append(conditions, s.sealer.still()) // before it is sealed
	}
	value, err := s.encodeDraft(path, read.GetVersion(), draft)
	if err != nil {
		return err
	}
	return s.writeDraft(ctx, draft.GetId(), conditions, putOp(path, value, 0))
}

func (s *Store) writeDraft(ctx context.Context, id string, conditions []*pb.Compare, op *pb.RequestOp) error {
	beforeApply.Hit()
	written, err := s.engine.Txn(ctx, &pb.TxnRequest{Compare: conditions, Success: []*pb.RequestOp{op}})
	if err != nil {
		return fmt.Errorf("write draft %s: %w", id, err)
	}
	afterApply.Hit()
	if !written.GetSucceeded() {
		return fmt.Errorf("write draft %s: %w", id, ErrBusy)
	}
	return nil
}

func draftPath(tenant, id string) string { return draftsRoot + tenant + "/" + id }

// Draft reads one draft.
func (s *Store) Draft(ctx context.Context, tenant, id string) (*configstorev1.Draft, error) {
	draft, _, err := s.draft(ctx, tenant, id)
	return draft, err
}

func (s *Store) draft(ctx context.Context, tenant, id string) (*configstorev1.Draft, *mvccpb.KeyValue, error) {
	kv, err := one(ctx, s.engine, draftPath(tenant, id))
	if err != nil {
		return nil, nil, fmt.Errorf("get draft %s: %w", id, err)
	}
	if kv == nil {
		return nil, nil, fmt.Errorf("draft %s: %w", id, ErrNotFound)
	}
	draft, err := s.decodeDraft(kv)
	return draft, kv, err
}

// Drafts lists a tenant's drafts, newest first.
func (s *Store) Drafts(ctx context.Context, tenant string) ([]*configstorev1.Draft, error) {
	response, err := s.engine.Range(ctx, rangePrefix(draftsRoot+tenant+"/"))
	if err != nil {
		return nil, fmt.Errorf("list drafts: %w", err)
	}
	drafts := make([]*configstorev1.Draft, 0, len(response.GetKvs()))
	for _, kv := range response.GetKvs() {
		draft, err := s.decodeDraft(kv)
		if err != nil {
			return nil, err
		}
		drafts = append(drafts, draft)
	}
	slices.Reverse(drafts) // ids are UUIDv7
	return drafts, nil
}

// ReviewDraft adds what somebody says of a draft; what the same one said before
// counts no longer.
func (s *Store) ReviewDraft(ctx context.Context, tenant, id string, review *configstorev1.Review) (*configstorev1.Draft, error) {
	for range maxApplyTries {
		draft, read, err := s.draft(ctx, tenant, id)
		if err != nil {
			return nil, err
		}
		if draft.GetAuthor() == review.GetAuthor() {
			return nil, fmt.Errorf("%w: %s made the draft and cannot review it", ErrReview, review.GetAuthor())
		}
		draft.Reviews = slices.DeleteFunc(draft.GetReviews(), func(r *configstorev1.Review) bool { return r.GetAuthor() == review.GetAuthor() })
		if len(draft.GetReviews()) >= maxReviews {
			return nil, fmt.Errorf("%w: there are %d already", ErrReview, maxReviews)
		}
		review.CreatedAt = s.clock().UnixMicro()
		draft.Reviews = append(draft.Reviews, review)
		if err := s.saveDraft(ctx, tenant, draft, read); !errors.Is(err, ErrBusy) {
			return draft, err
		}
	}
	return nil, ErrBusy
}

// ReleaseDraft makes a draft's release for a request of an author, and an id
// where it may be repeated. needed is how many have to have approved the draft;
// one rejection is enough against it.
func (s *Store) ReleaseDraft(ctx context.Context, request Request, id string, needed int) (Result, error) {
	if err := checkRequestID(request.ID).Err(); err != nil {
		return Result{}, err
	}
	request.draft = id
	approved, err := s.approved(ctx, request, id, needed)
	if errors.Is(err, ErrNotFound) {
		if result, found, err := s.madeOfDraft(ctx, request); found || err != nil {
			return result, err
		}
	}
	if err != nil {
		return Result{}, err
	}
	return s.Apply(ctx, approved)
}

// approved is the request for what a draft says, which ends with it.
func (s *Store) approved(ctx context.Context, request Request, id string, needed int) (Request, error) {
	draft, read, err := s.draft(ctx, request.Tenant, id)
	if err != nil {
		return Request{}, err
	}
	approved := 0
	for _, review := range draft.GetReviews() {
		if !review.GetApproved() {
			return Request{}, fmt.Errorf("%w: %s rejected it: %s", ErrReview, review.GetAuthor(), review.GetComment())
		}
		approved++
	}
	if approved < needed {
		return Request{}, fmt.Errorf("%w: %d of %d have approved it", ErrReview, approved, needed)
	}
	path := draftPath(request.Tenant, id)
	request.Changes, request.with = draft.GetChanges(), &companion{unchanged(path, read.GetModRevision()), deleteOp(path)}
	if request.Reason == "" {
		request.Reason = draft.GetReason()
	}
	return request, nil
}

// StartDraft is StartCanary for what a draft says, as ReleaseDraft is Apply.
func (s *Store) StartDraft(ctx context.Context, request Request, id string, needed int, plan *configstorev1.Plan) (*configstorev1.Canary, error) {
	request, err := s.approved(ctx, request, id, needed)
	if err != nil {
		return nil, err
	}
	return s.StartCanary(ctx, request, plan)
}

// DropDraft deletes a draft. One that is not there is no error.
func (s *Store) DropDraft(ctx context.Context, tenant, id string) error {
	_, err := s.engine.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{deleteOp(draftPath(tenant, id))}})
	if err != nil {
		return fmt.Errorf("drop draft %s: %w", id, err)
	}
	return nil
}

// companion is written with a release, in the same transaction.
type companion struct {
	compare *pb.Compare
	op      *pb.RequestOp
}
