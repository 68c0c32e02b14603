package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/matcher"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// ListDifferences gives a page of what does not agree, the oldest first.
func (r *Reconciliation) ListDifferences(
	ctx context.Context, req *settlementv1.ListDifferencesRequest,
) (*settlementv1.ListDifferencesResponse, error) {
	tenant := identity.Tenant(ctx)
	page := store.DifferencePage{Closed: req.GetClosed(), Limit: pageOf(req).Limit}
	if token := req.GetPageToken(); token != "" {
		found, xid, _ := strings.Cut(token, "/")
		micro, err := strconv.ParseInt(found, 10, 64)
		if err != nil {
			return nil, field("page_token", errors.New("is not one that was given out"))
		}
		page.AfterTime, page.AfterXID = time.UnixMicro(micro).UTC(), xid
	}
	list, err := r.matches.Differences(ctx, tenant, page)
	if err != nil {
		return nil, coded(err)
	}
	response := &settlementv1.ListDifferencesResponse{}
	for _, m := range list {
		response.Differences = append(response.Differences, matcher.Message(m))
	}
	if len(list) == page.Limit {
		last := list[len(list)-1]
		response.NextPageToken = fmt.Sprintf("%d/%s", last.FoundAt.UnixMicro(), last.XID)
	}
	response.Waiting, err = r.matches.WaitingOf(ctx, tenant)
	return response, coded(err)
}

// CloseDifference says that a person has dealt with a difference.
func (r *Reconciliation) CloseDifference(
	ctx context.Context, req *settlementv1.CloseDifferenceRequest,
) (*settlementv1.CloseDifferenceResponse, error) {
	caller, err := person(ctx)
	if err != nil {
		return nil, err
	}
	key := store.MatchKey{TenantID: caller.TenantID, XID: req.GetXid()}
	closed, err := r.matcher.Close(ctx, key, caller.ID, req.GetReason())
	if errors.Is(err, matcher.ErrNoDifference) {
		// A repeat finds it closed by the same person.
		known, readErr := r.matches.Get(ctx, key)
		if readErr == nil && known.ClosedBy == caller.ID && known.Reason == req.GetReason() {
			return &settlementv1.CloseDifferenceResponse{Difference: matcher.Message(known)}, nil
		}
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("xid: %w", err))
	}
	if err != nil {
		return nil, coded(err)
	}
	return &settlementv1.CloseDifferenceResponse{Difference: matcher.Message(closed)}, nil
}
