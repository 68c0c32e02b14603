package api

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/money"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/match"
	"github.com/backlot-video/backlot/services/settlement/internal/matcher"
	"github.com/backlot-video/backlot/services/settlement/internal/reconciler"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

// audit is a ReconciliationService over an empty database.
func audit(t *testing.T, clock func() time.Time) (*Reconciliation, *matcher.Matcher, *store.Matches) {
	t.Helper()
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "settlement"), backlotsql.Migrations("settlement"))
	ledgers := store.New(db)
	matches, kept := store.NewMatches(db), store.NewReconciliations(db)
	m := matcher.New(matcher.Config{
		Matches: matches, Clock: clock, Log: slog.New(slog.DiscardHandler),
		Tell: func(context.Context, *sql.Tx, *eventv1.Envelope) error { return nil },
	})
	return NewReconciliation(reconciler.New(ledgers, kept, clock), kept, m, matches), m, matches
}

func TestReconciliationOfAFileIsServed(t *testing.T) {
	r, _, _ := audit(t, time.Now)
	op := as(t, identity.Operator, "op")
	started, err := r.StartReconciliation(op, &settlementv1.StartReconciliationRequest{Name: "x", From: 1, To: 2, IdempotencyKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	id := started.GetReconciliation().GetId()
	file := []byte("reference,amount,currency\na,1.00,USD\nb,2.000,KWD\n")
	if _, err := r.AddReconciliationData(op, &settlementv1.AddReconciliationDataRequest{ReconciliationId: id, Data: file}); err != nil {
		t.Fatal(err)
	}
	finished, err := r.FinishReconciliation(op, &settlementv1.FinishReconciliationRequest{ReconciliationId: id})
	if err != nil || finished.GetReconciliation().GetDifferences() != 2 || len(finished.GetReconciliation().GetTotals()) != 2 {
		t.Fatal(finished, err)
	}
	first, err := r.ListReconciliationDifferences(op, &settlementv1.ListReconciliationDifferencesRequest{ReconciliationId: id, PageSize: 1})
	if err != nil || len(first.GetDifferences()) != 1 || first.GetNextPageToken() == "" {
		t.Fatal(first, err)
	}
	second, err := r.ListReconciliationDifferences(op, &settlementv1.ListReconciliationDifferencesRequest{ReconciliationId: id, PageToken: first.GetNextPageToken()})
	if err != nil || len(second.GetDifferences()) != 1 || second.GetDifferences()[0].GetReference() != "b" || second.GetDifferences()[0].GetTheirs().GetMinor() != 2000 {
		t.Error(second, err)
	}
	list, err := r.ListReconciliations(op, &settlementv1.ListReconciliationsRequest{})
	if err != nil || len(list.GetReconciliations()) != 1 || list.GetReconciliations()[0].GetRows() != 2 {
		t.Error(list, err)
	}
	bad, err := r.StartReconciliation(op, &settlementv1.StartReconciliationRequest{Name: "x", From: 1, To: 2, IdempotencyKey: "bad"})
	if err != nil {
		t.Fatal(err)
	}
	badID := bad.GetReconciliation().GetId()
	none, err := r.StartReconciliation(op, &settlementv1.StartReconciliationRequest{Name: "x", From: 1, To: 2, IdempotencyKey: "none"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		call func() error
		code connect.Code
		says string
	}{
		"times": {func() error {
			_, err := r.StartReconciliation(op, &settlementv1.StartReconciliationRequest{Name: "x", From: 2, To: 2, IdempotencyKey: "z"})
			return err
		}, connect.CodeInvalidArgument, "to: must be after from"},
		"gap": {func() error {
			_, err := r.AddReconciliationData(op, &settlementv1.AddReconciliationDataRequest{ReconciliationId: badID, Offset: 9, Data: file})
			return err
		}, connect.CodeInvalidArgument, "offset: data does not follow"},
		"empty": {func() error {
			_, err := r.FinishReconciliation(op, &settlementv1.FinishReconciliationRequest{ReconciliationId: none.GetReconciliation().GetId()})
			return err
		}, connect.CodeInvalidArgument, "file: is empty"},
		"unknown": {func() error {
			_, err := r.GetReconciliation(op, &settlementv1.GetReconciliationRequest{ReconciliationId: "none"})
			return err
		}, connect.CodeNotFound, "none"},
		"ended": {func() error {
			_, err := r.AddReconciliationData(op, &settlementv1.AddReconciliationDataRequest{ReconciliationId: id, Data: file})
			return err
		}, connect.CodeFailedPrecondition, "has ended"},
	} {
		if err := c.call(); connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v that says %q", name, err, c.code, c.says)
		}
	}
}

func TestDifferencesAreListedAndClosed(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	r, m, matches := audit(t, func() time.Time { return now })
	for _, xid := range []string{"a", "b/c"} {
		err := matches.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := matches.Update(ctx, tx, store.MatchKey{TenantID: "main", XID: xid}, func(found *match.Match) {
				found.OrderPaid("order", money.Amount{Minor: 5, Currency: "USD"}, now)
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	op := as(t, identity.Operator, "op")
	list := func(token string, closed bool) *settlementv1.ListDifferencesResponse {
		res, err := r.ListDifferences(op, &settlementv1.ListDifferencesRequest{PageSize: 1, PageToken: token, Closed: closed})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if got := list("", false); got.GetWaiting() != 2 || len(got.GetDifferences()) != 0 {
		t.Errorf("got %v", got)
	}
	now = now.Add(10 * time.Second)
	if err := m.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := list("", false)
	second := list(first.GetNextPageToken(), false)
	if first.GetDifferences()[0].GetXid() != "a" || second.GetDifferences()[0].GetXid() != "b/c" ||
		strings.Join(first.GetDifferences()[0].GetKinds(), " ") != "transaction_missing transfer_missing" {
		t.Errorf("got %v, %v", first, second)
	}
	for range 2 { // a repeat finds it closed
		closed, err := r.CloseDifference(op, &settlementv1.CloseDifferenceRequest{Xid: "b/c", Reason: "known"})
		if err != nil || closed.GetDifference().GetClosedBy() != "op" || closed.GetDifference().GetReason() != "known" {
			t.Errorf("got %v, %v", closed, err)
		}
	}
	_, err := r.CloseDifference(op, &settlementv1.CloseDifferenceRequest{Xid: "none", Reason: "known"})
	if connect.CodeOf(err) != connect.CodeNotFound || !strings.Contains(err.Error(), "xid: no such open difference: none") {
		t.Errorf("got %v", err)
	}
	if got := list(first.GetNextPageToken(), false); len(got.GetDifferences()) != 0 {
		t.Errorf("got %v", got)
	}
	if got := list(first.GetNextPageToken(), true); len(got.GetDifferences()) != 1 {
		t.Errorf("got %v", got)
	}
	if _, err := r.ListDifferences(op, &settlementv1.ListDifferencesRequest{PageToken: "x"}); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("got %v", err)
	}
}
