// Package service wires settlement: the ledgers, the payment provider, the
// split policies and the branch that pays for sales.
package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/tcc"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/api"
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/matcher"
	"github.com/backlot-video/backlot/services/settlement/internal/payer"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/policy"
	"github.com/backlot-video/backlot/services/settlement/internal/reconciler"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

const name = "settlement"

// testProvider brings money in and pays it out: a fake.
const testProvider = "test"

// manualProvider leaves payouts to a person.
const manualProvider = "manual"

// Config has settlement's settings.
type Config struct {
	// PaymentProvider brings money in. Default and only choice "test", a fake:
	// no real money moves.
	PaymentProvider string
	// TestPaymentLimit is the most minor units that the test provider gives at
	// once. Default 1,000,000 (10,000.00 USD).
	TestPaymentLimit int
	// PayoutProvider pays money out: "test", the default, a fake, or "manual": a
	// person sends the exported file to a bank and tells how it ended.
	PayoutProvider string
	// Admission lets in what will be done in time. Default true; false leaves a
	// plain queue of WaitingLimit before each ledger, for comparison.
	Admission bool
	// Patience is the most that a booking may be expected to take; who calls with
	// a sooner deadline is asked for that. Default 80 ms.
	Patience time.Duration
	// Transit is what a call is taken to spend on its way here and back: it is to
	// be done that much before its deadline. Default 4 ms.
	Transit time.Duration
	// WaitingLimit is the most calls that wait for one ledger. Default and most
	// 1024.
	WaitingLimit int
	// TenantWeights are tenants' shares under load, as `tenant=weight,...`.
	// Default 1 each.
	TenantWeights string
	// CompareFacts compares orders, global transactions and transfers by their
	// facts. Default true; without storefront and coordinator every sale would
	// differ.
	CompareFacts bool
	// CompareGrace is how long facts of one sale may differ. Default 10 s.
	CompareGrace time.Duration
}

// Service is settlement.
type Service struct{ config Config }

// New returns settlement with default settings.
func New() *Service { return &Service{} }

// Name implements lifecycle.Service.
func (s *Service) Name() string { return name }

// RegisterFlags implements lifecycle.Service.
func (s *Service) RegisterFlags(set *config.Set) {
	set.String(&s.config.PaymentProvider, "payment-provider", testProvider, "`name` of who brings money in; `test` moves no real money")
	set.String(&s.config.PayoutProvider, "payout-provider", testProvider, "`name` of who pays money out: test moves no real money, manual leaves it to a person")
	set.Bool(&s.config.CompareFacts, "compare-facts", true, "compare orders, global transactions and transfers by their facts; switch it off without storefront and coordinator")
	set.Duration(&s.config.CompareGrace, "compare-grace", 10*time.Second, "how `long` facts of one sale may differ before that is a difference")
	set.Bool(&s.config.Admission, "admission", true, "refuse at once what would not be done in time; `false` leaves a plain queue before each ledger")
	set.Duration(&s.config.Patience, "patience", 80*time.Millisecond, "the `longest` that a booking may be expected to take; a caller's sooner deadline counts")
	set.Duration(&s.config.Transit, "transit", 4*time.Millisecond, "how `long` a booking's call is taken to be on its way here and back: it is to be done that much before its deadline")
	set.Int(&s.config.WaitingLimit, "waiting-limit", maxWaiting, "most `calls` that wait for one ledger")
	set.String(&s.config.TenantWeights, "tenant-weights", "", "`shares` of tenants under load, as tenant=weight,...; 1 for all others")
	set.Int(&s.config.TestPaymentLimit, "test-payment-limit", 1_000_000, "most minor `units` that the test provider gives at once")
}

// Validate implements lifecycle.Service.
func (s *Service) Validate() error {
	var faults []error
	if s.config.PaymentProvider != testProvider {
		faults = append(faults, fmt.Errorf("settlement.payment-provider: %q is not known, the only one is %q",
			s.config.PaymentProvider, testProvider))
	}
	if s.config.PayoutProvider != testProvider && s.config.PayoutProvider != manualProvider {
		faults = append(faults, fmt.Errorf("settlement.payout-provider: %q is not known, want %q or %q",
			s.config.PayoutProvider, testProvider, manualProvider))
	}
	if s.config.TestPaymentLimit < 1 {
		faults = append(faults, fmt.Errorf("settlement.test-payment-limit: %d, must be at least 1", s.config.TestPaymentLimit))
	}
	if s.config.CompareGrace < time.Second || s.config.CompareGrace > time.Hour {
		faults = append(faults, fmt.Errorf("settlement.compare-grace: %v, must be 1s to 1h", s.config.CompareGrace))
	}
	if s.config.Patience < time.Millisecond || s.config.Patience > time.Minute {
		faults = append(faults, fmt.Errorf("settlement.patience: %v, must be 1ms to 1m", s.config.Patience))
	}
	if s.config.Transit < 0 || s.config.Transit > time.Minute {
		faults = append(faults, fmt.Errorf("settlement.transit: %v, must be 0s to 1m", s.config.Transit))
	}
	if s.config.WaitingLimit < 1 || s.config.WaitingLimit > maxWaiting {
		faults = append(faults, fmt.Errorf("settlement.waiting-limit: %d, must be 1 to %d", s.config.WaitingLimit, maxWaiting))
	}
	if _, err := weights(s.config.TenantWeights); err != nil {
		faults = append(faults, fmt.Errorf("settlement.tenant-weights: %w", err))
	}
	return errors.Join(faults...)
}

// Run implements lifecycle.Service.
func (s *Service) Run(ctx context.Context, host *lifecycle.Host) error {
	db, err := host.Database(ctx, backlotsql.Migrations(name))
	if err != nil {
		return err
	}
	broker, err := host.MQ(ctx)
	if err != nil {
		return err
	}
	ledgers := store.New(db)
	outbox := mq.NewOutbox(mq.OutboxConfig{
		Service: name, DB: db, Client: broker, Expand: api.Expand(ledgers), Log: host.Log, Clock: host.Clock,
	})
	objects := informer.New[*settlementv1.SplitPolicy](host.Source(), policy.Kind, informer.Config{
		SnapshotFile: host.Snapshot(policy.Kind), Log: host.Log, Registerer: host.Registerer,
	})
	gate, err := s.gate(host)
	if err != nil {
		return err
	}
	defer gate.Close()
	books := engine.New(ledgers, engine.Config{
		Tell: api.Tell(outbox), Told: outbox.Wake, Admission: gate, Log: host.Log, Registerer: host.Registerer, Clock: host.Clock,
	})
	defer books.Close()
	provider := payment.NewTestProvider(int64(s.config.TestPaymentLimit), host.Log)
	desk := cashier.New(ledgers, books, provider, policy.New(objects), host.Log)
	handler := api.New(ledgers, books, desk)
	participant := api.NewParticipant(handler, db, tcc.Config{Log: host.Log, Clock: host.Clock})

	matches, reconciliations := store.NewMatches(db), store.NewReconciliations(db)
	comparer := matcher.New(matcher.Config{
		Matches: matches, Tell: outbox.Add, Grace: s.config.CompareGrace, Clock: host.Clock, Log: host.Log, Registerer: host.Registerer,
	})
	bank := payment.Payer(provider)
	if s.config.PayoutProvider == manualProvider {
		bank = payment.Manual{}
	}
	payouts := store.NewPayouts(db)
	payers := payer.New(payer.Config{
		Ledgers: ledgers, Books: books, Payouts: payouts, Bank: bank, Clock: host.Clock, Log: host.Log, Registerer: host.Registerer,
	})
	files := reconciler.New(ledgers, reconciliations, host.Clock)

	host.Handle(settlementv1.LedgerServiceDesc, handler)
	host.Handle(settlementv1.BookingServiceDesc, api.NewBooking(ledgers, books))
	host.Handle(settlementv1.PayoutServiceDesc, api.NewPayout(payers, payouts))
	host.Handle(settlementv1.ReconciliationServiceDesc, api.NewReconciliation(files, reconciliations, comparer, matches))
	host.Handle(tccv1.ParticipantServiceDesc, participant)
	host.EnsureObjects(lifecycle.Default{Kind: policy.Kind, Name: policy.DefaultName, Spec: policy.Default()})
	host.Go("split policies", objects.Run)
	host.Go("outbox", outbox.Run)
	host.Go("top-up recovery", desk.Resume)
	host.Go("payouts", payers.Run)
	host.Go("expiry", books.Run)
	if s.config.CompareFacts {
		host.Go("comparison", comparer.Run)
		host.Go("facts to compare", func(ctx context.Context) error {
			return broker.Consume(ctx, mq.Consumer{Durable: matcher.Consumer, Subjects: matcher.Subjects(), Handler: comparer.Handle})
		})
	}
	host.Ready()
	<-ctx.Done()
	return nil
}
