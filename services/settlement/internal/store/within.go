package store

import (
	"context"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// ByReference returns the first transfers of a reference, at most limit, as
// they were when the session began.
func (s *Session) ByReference(ctx context.Context, tenantID, reference string, limit int) ([]ledger.Transfer, error) {
	rows, err := s.q.ListTransfersOf(ctx, settlementdb.ListTransfersOfParams{
		TenantID: tenantID, Reference: reference, MaxRows: int32(limit),
	})
	if err != nil {
		return nil, err
	}
	return s.store.decode(ctx, s.q, same(rows))
}
