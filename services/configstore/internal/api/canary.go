package api

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/access"
	"github.com/backlot-video/backlot/services/configstore/internal/canary"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// maxMoves bounds how often what a caller wants is tried where a canary moves
// by itself meanwhile.
const maxMoves = 4

// Canaries serves configstore.v1.CanaryService.
type Canaries struct {
	store     *store.Store
	pilot     *canary.Pilot
	approvals int
}

// NewCanaries returns the service over a store. approvals is how many have to
// approve what operators give to instances.
func NewCanaries(s *store.Store, p *canary.Pilot, approvals int) *Canaries {
	return &Canaries{s, p, approvals}
}

// StartCanary implements CanaryServiceServer.
func (c *Canaries) StartCanary(ctx context.Context, request *configstorev1.StartCanaryRequest) (*configstorev1.StartCanaryResponse, error) {
	made := store.Request{Tenant: tenant(ctx), Author: author(ctx), Reason: request.GetReason(), Changes: request.GetChanges()}
	var begun *configstorev1.Canary
	var err error
	p, found := identity.From(ctx)
	switch drafted := request.GetDraftId() != ""; {
	case drafted == (len(request.GetChanges()) > 0):
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("changes, draft_id: give one of them"))
	case drafted:
		if made.Changes, err = c.drafted(ctx, request.GetDraftId()); err == nil {
			begun, err = c.store.StartDraft(ctx, made, request.GetDraftId(), c.approvals, request.GetPlan())
		}
	case c.approvals > 0 && found && p.Kind == identity.Operator:
		return nil, connect.NewError(connect.CodeFailedPrecondition, errReviewed)
	default:
		if err = c.gate().changes(ctx, access.Write, made.Changes); err == nil {
			begun, err = c.store.StartCanary(ctx, made, request.GetPlan())
		}
	}
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.StartCanaryResponse{Canary: begun}, nil
}

// drafted are the changes of a draft that the caller may write.
func (c *Canaries) drafted(ctx context.Context, id string) ([]*configstorev1.Change, error) {
	draft, err := c.store.Draft(ctx, tenant(ctx), id)
	if err != nil {
		return nil, err
	}
	return draft.GetChanges(), c.gate().changes(ctx, access.Write, draft.GetChanges())
}

func (c *Canaries) gate() gate { return gate{c.store} }

// allowed reads a canary, if the caller may do this with all of its objects.
func (c *Canaries) allowed(ctx context.Context, verb access.Verb, id string) (*configstorev1.Canary, error) {
	found, err := c.store.Canary(ctx, tenant(ctx), id)
	if err != nil {
		return nil, err
	}
	return found, c.gate().check(ctx, verb, wantedChanges(ctx, found.GetChanges())...)
}

// GetCanary implements CanaryServiceServer.
func (c *Canaries) GetCanary(ctx context.Context, request *configstorev1.GetCanaryRequest) (*configstorev1.GetCanaryResponse, error) {
	found, err := c.allowed(ctx, access.Read, request.GetId())
	if err != nil {
		return nil, coded(err)
	}
	response := &configstorev1.GetCanaryResponse{Canary: found}
	if found.GetState() == configstorev1.Canary_STATE_RUNNING {
		response.Evidence = c.pilot.Evidence(ctx, tenant(ctx), found)
	}
	return response, nil
}

// ListCanaries implements CanaryServiceServer.
func (c *Canaries) ListCanaries(ctx context.Context, _ *configstorev1.ListCanariesRequest) (*configstorev1.ListCanariesResponse, error) {
	all, err := c.store.Canaries(ctx, tenant(ctx))
	if err != nil {
		return nil, coded(err)
	}
	for _, one := range all {
		one.Changes, one.Before = nil, nil
	}
	return &configstorev1.ListCanariesResponse{Canaries: all}, nil
}

// PromoteCanary implements CanaryServiceServer.
func (c *Canaries) PromoteCanary(ctx context.Context, request *configstorev1.PromoteCanaryRequest) (*configstorev1.PromoteCanaryResponse, error) {
	moved, err := c.move(ctx, request.GetId(), func(now *configstorev1.Canary) (*configstorev1.Canary, error) {
		if !request.GetWhole() && int(now.GetStep()) < len(now.GetPlan().GetSteps())-1 {
			return c.store.AdvanceCanary(ctx, tenant(ctx), now, author(ctx))
		}
		return c.store.PromoteCanary(ctx, tenant(ctx), now, author(ctx))
	})
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.PromoteCanaryResponse{Canary: moved}, nil
}

// AbortCanary implements CanaryServiceServer.
func (c *Canaries) AbortCanary(ctx context.Context, request *configstorev1.AbortCanaryRequest) (*configstorev1.AbortCanaryResponse, error) {
	why := request.GetReason()
	if why == "" {
		why = "aborted"
	}
	moved, err := c.move(ctx, request.GetId(), func(now *configstorev1.Canary) (*configstorev1.Canary, error) {
		if now.GetState() != configstorev1.Canary_STATE_RUNNING {
			return now, nil
		}
		return c.store.EndCanary(ctx, tenant(ctx), now, configstorev1.Canary_STATE_ABORTED, author(ctx), why)
	})
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.AbortCanaryResponse{Canary: moved}, nil
}

// move does something with a canary as it is now.
func (c *Canaries) move(
	ctx context.Context, id string, do func(*configstorev1.Canary) (*configstorev1.Canary, error),
) (*configstorev1.Canary, error) {
	for range maxMoves {
		now, err := c.allowed(ctx, access.Write, id)
		if err != nil {
			return nil, err
		}
		if moved, err := do(now); !errors.Is(err, store.ErrBusy) {
			return moved, err
		}
	}
	return nil, store.ErrBusy
}
