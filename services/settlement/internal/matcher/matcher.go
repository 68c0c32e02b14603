// Package matcher compares orders, global transactions and transfers while
// they happen, by the facts that storefront, coordinator and settlement tell.
//
//	matcher.go  Matcher: takes facts
//	sweep.go    Matcher.Run: what has waited too long, what may be forgotten
//	metrics.go  what is measured
//
// Facts are kept in SQL, each counted once, so nothing is lost by a restart.
// What does not agree when the grace time is over becomes a difference: a
// warning in the log, a metric that alerts, and a fact. Memory does not grow
// with what waits. What agrees or differs is package match's to say.
package matcher

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/mq"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/match"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// Consumer is the durable name at the broker and in the inbox.
const Consumer = "settlement_matcher"

// Types of the facts that are listened to, and of the one that is told.
const (
	orderPaid        = "backlot.storefront.order_paid.v1"
	transactionEnded = "backlot.coordinator.transaction_ended.v1"
	transfersPosted  = "backlot.settlement.transfers_posted.v1"
	transferPosted   = "backlot.settlement.transfer_posted.v1" // by which releases before told of one
	DifferenceFound  = "backlot.settlement.difference_found.v1"
)

// Subjects are those of the facts that Handle takes.
func Subjects() []string {
	return mq.Subjects(orderPaid, transactionEnded, transfersPosted, transferPosted)
}

// Config has what a Matcher needs.
type Config struct {
	Matches    *store.Matches
	Tell       func(ctx context.Context, tx *sql.Tx, envelope *eventv1.Envelope) error // adds to the outbox
	Grace      time.Duration                                                           // how long facts may differ; default 10 s
	Clock      func() time.Time
	Log        *slog.Logger
	Registerer prometheus.Registerer // default no metrics
}

// Matcher takes facts and finds differences. It is safe for concurrent use.
type Matcher struct {
	cfg     Config
	metrics *metrics
}

// New makes a Matcher.
func New(cfg Config) *Matcher {
	if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Second
	}
	return &Matcher{cfg: cfg, metrics: newMetrics(cfg.Registerer)}
}

// Handle takes one fact, once.
func (m *Matcher) Handle(ctx context.Context, envelope *eventv1.Envelope) error {
	changes, err := m.read(envelope)
	if err != nil || len(changes) == 0 {
		return err
	}
	err = m.cfg.Matches.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		first, err := mq.Once(ctx, tx, Consumer, envelope)
		if err != nil || !first {
			return err
		}
		for _, c := range changes {
			if err := m.update(ctx, tx, store.MatchKey{TenantID: envelope.GetTenantId(), XID: c.xid}, c.do); err != nil {
				return fmt.Errorf("of %s: %w", c.xid, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("match fact %s: %w", envelope.GetType(), err)
	}
	return nil
}

func (m *Matcher) update(ctx context.Context, tx *sql.Tx, key store.MatchKey, change func(*match.Match)) error {
	before := match.Status(0)
	after, err := m.cfg.Matches.Update(ctx, tx, key, func(found *match.Match) {
		before = found.Status
		change(found)
	})
	if err == nil && before == match.Different && after.Status == match.Closed {
		m.repaired(ctx, after)
	}
	return err
}

// change is what a fact changes of a match.
type change struct {
	xid string
	do  func(*match.Match)
}

// read tells what a fact changes of which matches, by xid.
func (m *Matcher) read(envelope *eventv1.Envelope) ([]change, error) {
	switch envelope.GetType() {
	case orderPaid:
		fact := new(storefrontv1.OrderPaid)
		if err := unpack(envelope, fact); err != nil {
			return nil, err
		}
		return []change{{fact.GetXid(), func(found *match.Match) {
			found.OrderPaid(fact.GetOrderId(), amountOf(fact.GetPrice()), m.now())
		}}}, nil
	case transactionEnded:
		fact := new(coordinatorv1.TransactionEnded)
		if err := unpack(envelope, fact); err != nil {
			return nil, err
		}
		return []change{{fact.GetXid(), func(found *match.Match) {
			found.TransactionEnded(match.TransactionState(fact.GetState()), m.now())
		}}}, nil
	case transfersPosted:
		fact := new(settlementv1.TransfersPosted)
		if err := unpack(envelope, fact); err != nil {
			return nil, err
		}
		return m.posted(fact.GetTransfers())
	case transferPosted:
		fact := new(settlementv1.TransferPosted)
		if err := unpack(envelope, fact); err != nil {
			return nil, err
		}
		return m.posted([]*settlementv1.Transfer{fact.GetTransfer()})
	default:
		return nil, fmt.Errorf("%w: %s", mq.ErrUnknownType, envelope.GetType())
	}
}

// posted tells what transfers change.
func (m *Matcher) posted(transfers []*settlementv1.Transfer) (changes []change, err error) {
	for _, t := range transfers {
		if t.GetType() != string(ledger.Sale) || t.GetXid() == "" {
			continue
		}
		amount, err := debits(t)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{t.GetXid(), func(found *match.Match) {
			found.SalePosted(t.GetId(), t.GetReference(), amount, m.now())
		}})
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.xid, b.xid) }) // as others may, who lock them too
	return changes, nil
}

func unpack(envelope *eventv1.Envelope, fact proto.Message) error {
	if err := envelope.GetData().UnmarshalTo(fact); err != nil {
		return fmt.Errorf("fact %s: %w", envelope.GetType(), err)
	}
	return nil
}

// amountOf takes an amount as it is, so that a currency which is none differs.
func amountOf(message *moneyv1.Money) money.Amount {
	return money.Amount{Minor: message.GetMinor(), Currency: message.GetCurrency()}
}

// debits is what a sale moved.
func debits(t *settlementv1.Transfer) (money.Amount, error) {
	sum := money.Amount{Currency: t.GetCurrency()}
	for _, posting := range t.GetPostings() {
		if posting.GetSide() != settlementv1.Side_SIDE_DEBIT {
			continue
		}
		var err error
		if sum, err = sum.Add(amountOf(posting.GetAmount())); err != nil {
			return sum, fmt.Errorf("transfer %s: %w", t.GetId(), err)
		}
	}
	return sum, nil
}

// now is the time as it is stored.
func (m *Matcher) now() time.Time { return m.cfg.Clock().UTC().Truncate(time.Microsecond) }

// ErrNoDifference means that there is no such difference, or no longer.
var ErrNoDifference = errors.New("no such open difference")

// Close is a person's word that a difference is dealt with.
func (m *Matcher) Close(ctx context.Context, key store.MatchKey, by, reason string) (closed match.Match, err error) {
	err = m.cfg.Matches.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		done := false
		closed, err = m.cfg.Matches.Update(ctx, tx, key, func(found *match.Match) { done = found.Close(by, reason, m.now()) })
		if err == nil && !done {
			return fmt.Errorf("%w: %s", ErrNoDifference, key.XID)
		}
		return err
	})
	return closed, err
}
