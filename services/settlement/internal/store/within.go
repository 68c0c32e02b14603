package store

import (
	"context"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// ByReference returns the first transfers of a reference, at most limit, as
// they were when the session began.
func (s *Session) ByReference(ctx context.Context, tenantID, reference string, limit int) ([]ledger.Transfer, error) {
	return s.store.listOf(ctx, s.q, tenantID, reference, Page{Limit: limit})
}
