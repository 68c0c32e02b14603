// Package reconciler runs reconciliations: it takes a settlement file in parts,
// compares it with the payments in the ledger and keeps the report. What agrees
// is package reconcile's to say. A Reconciler is safe for concurrent use.
package reconciler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/money"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/reconcile"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// ErrTooLarge means a file above reconcile.MaxSize.
var ErrTooLarge = fmt.Errorf("file is larger than %d bytes", reconcile.MaxSize)

// Reconciler compares files with the ledger.
type Reconciler struct {
	ledgers *store.Store
	store   *store.Reconciliations
	clock   func() time.Time
}

// New makes a Reconciler.
func New(ledgers *store.Store, reconciliations *store.Reconciliations, clock func() time.Time) *Reconciler {
	return &Reconciler{ledgers: ledgers, store: reconciliations, clock: clock}
}

// Start opens a reconciliation of a file that covers [from, to). The same key
// gives the same one; for another file it gives store.ErrKeyReused.
func (r *Reconciler) Start(
	ctx context.Context, tenantID, name, key string, from, to time.Time, mapping *settlementv1.ColumnMapping,
) (store.Reconciliation, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(mapping)
	if err != nil {
		return store.Reconciliation{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.Reconciliation{}, err
	}
	if data == nil {
		data = []byte{}
	}
	return r.store.Add(ctx, store.Reconciliation{
		ID: id.String(), TenantID: tenantID, Name: name, From: from, To: to, Mapping: data, IdempotencyKey: key, CreatedAt: r.clock(),
	})
}

// Add brings a part of the file.
func (r *Reconciler) Add(ctx context.Context, tenantID, id string, offset int64, data []byte) (size int64, err error) {
	if offset > reconcile.MaxSize-int64(len(data)) {
		return 0, ErrTooLarge
	}
	return r.store.AddPart(ctx, tenantID, id, offset, data, r.clock())
}

// Finish compares the file. A fault of the file ends the reconciliation as
// failed and is returned, a reconcile.ErrFile. One that has ended is returned
// as it is.
func (r *Reconciler) Finish(ctx context.Context, tenantID, id string) (store.Reconciliation, error) {
	found, err := r.store.Get(ctx, tenantID, id)
	if err != nil || found.State != store.ReconciliationOpen {
		return found, err
	}
	report, err := r.compare(ctx, found)
	fault := err
	switch {
	case err == nil:
		found.State, found.Report, err = pack(report)
	case errors.Is(err, reconcile.ErrFile), errors.Is(err, reconcile.ErrTooMany), errors.Is(err, money.ErrOverflow):
		found.State, found.Report, found.Problem, err = store.ReconciliationFailed, []byte{}, err.Error(), nil
	}
	if err != nil {
		return store.Reconciliation{}, err
	}
	found.UpdatedAt = r.clock()
	differences, err := packAll(report.Differences)
	if err != nil {
		return store.Reconciliation{}, err
	}
	if err := r.store.End(ctx, found, differences); errors.Is(err, store.ErrEnded) {
		return r.store.Get(ctx, tenantID, id) // somebody else was faster
	} else if err != nil {
		return store.Reconciliation{}, err
	}
	return found, fault
}

// compare reads the books and then the file.
func (r *Reconciler) compare(ctx context.Context, found store.Reconciliation) (reconcile.Report, error) {
	var message settlementv1.ColumnMapping
	if err := proto.Unmarshal(found.Mapping, &message); err != nil {
		return reconcile.Report{}, err
	}
	comparison := reconcile.NewComparison(func(reference string) (reconcile.Entry, bool, error) {
		return r.find(ctx, found.TenantID, reference)
	})
	const pageSize = 500
	for after, more := "", true; more; {
		page, err := r.ledgers.Payments(ctx, found.TenantID, ledger.TopUp, ledger.Payout, found.From, found.To,
			store.Page{After: after, Limit: pageSize})
		if err != nil {
			return reconcile.Report{}, err
		}
		for _, t := range page {
			entry, err := entryOf(t)
			if err != nil {
				return reconcile.Report{}, err
			}
			if err := comparison.Expect(entry); err != nil {
				return reconcile.Report{}, err
			}
			after = t.ID
		}
		more = len(page) == pageSize
	}
	part := func(offset int64) ([]byte, error) { return r.store.Part(ctx, found.ID, offset) }
	return comparison.Compare(&parts{part: part, size: found.Size}, mappingOf(&message))
}

// find looks a payment up that is not of the file's time.
func (r *Reconciler) find(ctx context.Context, tenantID, reference string) (reconcile.Entry, bool, error) {
	booked, err := r.ledgers.Transfers(ctx, tenantID, reference, store.Page{Limit: 2})
	if err != nil {
		return reconcile.Entry{}, false, err
	}
	for _, t := range booked {
		if t.Type == ledger.TopUp || t.Type == ledger.Payout {
			entry, err := entryOf(t)
			return entry, err == nil, err
		}
	}
	return reconcile.Entry{}, false, nil
}

// entryOf is a payment: a top-up comes in, a payout goes out.
func entryOf(t ledger.Transfer) (reconcile.Entry, error) {
	amount, err := t.Amount()
	if err == nil && t.Type == ledger.Payout {
		amount, err = amount.Neg()
	}
	return reconcile.Entry{
		Reference: t.Reference, TransferID: t.ID, Amount: amount, State: t.State.String(), Moved: t.State == ledger.Posted,
	}, err
}

func mappingOf(m *settlementv1.ColumnMapping) reconcile.Mapping {
	mapping := reconcile.Mapping{
		Reference: m.GetReference(), Amount: m.GetAmount(), Currency: m.GetCurrency(), State: m.GetState(),
		MinorUnits: m.GetMinorUnits(), Settled: m.GetSettled(), Failed: m.GetFailed(),
	}
	if m.GetSeparator() != "" {
		mapping.Separator = rune(m.GetSeparator()[0])
	}
	return mapping
}

// parts reads a file that is kept in parts.
type parts struct {
	part     func(offset int64) ([]byte, error)
	at, size int64
	rest     []byte
}

// Read implements io.Reader.
func (p *parts) Read(buf []byte) (int, error) {
	if len(p.rest) == 0 {
		if p.at >= p.size {
			return 0, io.EOF
		}
		data, err := p.part(p.at)
		if err != nil {
			return 0, fmt.Errorf("part at %d: %w", p.at, err)
		}
		p.rest, p.at = data, p.at+int64(len(data))
	}
	n := copy(buf, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// pack is a report as it is kept: a message without its differences.
func pack(report reconcile.Report) (store.ReconciliationState, []byte, error) {
	message := &settlementv1.Reconciliation{Rows: report.Rows, Matched: report.Matched, Differences: report.Found}
	for _, total := range report.Totals {
		message.Totals = append(message.Totals, &settlementv1.ReconciliationTotal{
			Ours: total.Ours.ToProto(), Theirs: total.Theirs.ToProto(), OurCount: total.OurCount, TheirCount: total.TheirCount,
		})
	}
	data, err := proto.Marshal(message)
	return store.ReconciliationFinished, data, err
}

func packAll(differences []reconcile.Difference) ([][]byte, error) {
	packed := make([][]byte, len(differences))
	for i, d := range differences {
		message := &settlementv1.ReconciliationDifference{
			Kind: settlementv1.ReconciliationDifferenceKind(d.Kind), Reference: d.Reference, Line: int64(d.Line),
			OurState: d.OurState, TheirState: d.TheirState, TransferId: d.TransferID,
		}
		if d.Ours.Currency != "" {
			message.Ours = d.Ours.ToProto()
		}
		if d.Theirs.Currency != "" {
			message.Theirs = d.Theirs.ToProto()
		}
		var err error
		if packed[i], err = proto.Marshal(message); err != nil {
			return nil, err
		}
	}
	return packed, nil
}
