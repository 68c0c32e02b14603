package api

import (
	"context"
	"errors"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/access"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// Drafts serves configstore.v1.DraftService.
type Drafts struct {
	store     *store.Store
	approvals int
}

// NewDrafts returns the service over a store. approvals is how many have to
// approve a draft before it is released.
func NewDrafts(s *store.Store, approvals int) *Drafts { return &Drafts{s, approvals} }

// CreateDraft implements DraftServiceServer.
func (d *Drafts) CreateDraft(ctx context.Context, request *configstorev1.CreateDraftRequest) (*configstorev1.CreateDraftResponse, error) {
	if err := d.gate().changes(ctx, access.Draft, request.GetChanges()); err != nil {
		return nil, coded(err)
	}
	draft, err := d.store.CreateDraft(ctx, store.Request{
		Tenant: tenant(ctx), Author: author(ctx), Reason: request.GetReason(), Changes: request.GetChanges(),
	})
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.CreateDraftResponse{Draft: d.show().draft(draft)}, nil
}

// GetDraft implements DraftServiceServer.
func (d *Drafts) GetDraft(ctx context.Context, request *configstorev1.GetDraftRequest) (*configstorev1.GetDraftResponse, error) {
	draft, err := d.allowed(ctx, access.Read, request.GetId())
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.GetDraftResponse{Draft: d.show().draft(draft)}, nil
}

// ListDrafts implements DraftServiceServer.
func (d *Drafts) ListDrafts(ctx context.Context, _ *configstorev1.ListDraftsRequest) (*configstorev1.ListDraftsResponse, error) {
	drafts, err := d.store.Drafts(ctx, tenant(ctx))
	if err != nil {
		return nil, coded(err)
	}
	for _, draft := range drafts {
		draft.Changes = nil
	}
	return &configstorev1.ListDraftsResponse{Drafts: drafts}, nil
}

// ReviewDraft implements DraftServiceServer.
func (d *Drafts) ReviewDraft(ctx context.Context, request *configstorev1.ReviewDraftRequest) (*configstorev1.ReviewDraftResponse, error) {
	if _, err := d.allowed(ctx, access.Review, request.GetId()); err != nil {
		return nil, coded(err)
	}
	draft, err := d.store.ReviewDraft(ctx, tenant(ctx), request.GetId(), &configstorev1.Review{
		Author: author(ctx), Approved: request.GetApprove(), Comment: request.GetComment(),
	})
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.ReviewDraftResponse{Draft: d.show().draft(draft)}, nil
}

// ReleaseDraft implements DraftServiceServer.
func (d *Drafts) ReleaseDraft(ctx context.Context, request *configstorev1.ReleaseDraftRequest) (*configstorev1.ReleaseDraftResponse, error) {
	// One that is gone may have been released by its caller, who asks again.
	draft, err := d.allowed(ctx, access.Write, request.GetId())
	if err != nil && (draft != nil || !errors.Is(err, store.ErrNotFound)) {
		return nil, coded(err)
	}
	result, err := d.store.ReleaseDraft(ctx, store.Request{
		Tenant: tenant(ctx), Author: author(ctx), ID: request.GetRequestId(),
	}, request.GetId(), d.approvals)
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.ReleaseDraftResponse{Release: result.Release, Objects: d.show().objects(result.Objects)}, nil
}

// DropDraft implements DraftServiceServer.
func (d *Drafts) DropDraft(ctx context.Context, request *configstorev1.DropDraftRequest) (*configstorev1.DropDraftResponse, error) {
	switch draft, err := d.store.Draft(ctx, tenant(ctx), request.GetId()); {
	case errors.Is(err, store.ErrNotFound):
		return &configstorev1.DropDraftResponse{}, nil
	case err != nil:
		return nil, coded(err)
	case draft.GetAuthor() != author(ctx): // one's own may always go
		if _, err := d.allowed(ctx, access.Write, request.GetId()); err != nil {
			return nil, coded(err)
		}
	}
	if err := d.store.DropDraft(ctx, tenant(ctx), request.GetId()); err != nil {
		return nil, coded(err)
	}
	return &configstorev1.DropDraftResponse{}, nil
}

func (d *Drafts) gate() gate { return gate{d.store} }

func (d *Drafts) show() shower { return shower{d.store} }

// allowed reads a draft, if the caller may do this with all of its objects.
func (d *Drafts) allowed(ctx context.Context, verb access.Verb, id string) (*configstorev1.Draft, error) {
	draft, err := d.store.Draft(ctx, tenant(ctx), id)
	if err != nil {
		return nil, err
	}
	return draft, d.gate().changes(ctx, verb, draft.GetChanges())
}
