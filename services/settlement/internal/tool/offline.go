package tool

import (
	"context"
	"errors"

	"github.com/backlot-video/backlot/kit/database"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

// offline verifies a tenant's books in a database: SQLite's in dir, or that of
// an address.
func offline(ctx context.Context, dir, address, tenant string) (report *settlementv1.VerifyLedgerResponse, err error) {
	db, err := database.Open(ctx, database.Config{Service: "settlement", DataDir: dir, URL: address}, backlotsql.Migrations("settlement"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found, err := store.New(db).Verify(ctx, tenant)
	if err != nil {
		return nil, err
	}
	report = &settlementv1.VerifyLedgerResponse{Ok: len(found.Faults) == 0, Faults: found.Faults, Transfers: found.Transfers}
	for _, head := range found.Heads {
		report.Heads = append(report.Heads, &settlementv1.LedgerHead{Currency: head.Currency, Sequence: head.Sequence, Hash: head.Hash[:]})
	}
	return report, nil
}
