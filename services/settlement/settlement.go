package settlement

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/api"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

// What is booked. Their fields and rules are documented where they are shown.
type (
	// Account holds one owner's money for one purpose in one currency.
	Account = ledger.Account
	// AccountSpec asks for an account.
	AccountSpec = ledger.AccountSpec
	// AccountResult is what came of an AccountSpec.
	AccountResult = ledger.AccountResult
	// Balance is the sums of an account's postings.
	Balance = ledger.Balance
	// Transfer moves money among accounts of one ledger.
	Transfer = ledger.Transfer
	// Posting is one line of a transfer.
	Posting = ledger.Posting
	// Request asks for one step of the books.
	Request = ledger.Request
	// Draft is a transfer that is to be booked.
	Draft = ledger.Draft
	// Line is a posting of a draft.
	Line = ledger.Line
	// Target names a transfer that is to be ended.
	Target = ledger.Target
	// Result is what came of a Request.
	Result = ledger.Result
	// FieldError says which field of a request an error is about.
	FieldError = ledger.FieldError
	// Report is what Verify found.
	Report = store.Report
	// Load is how busy a ledger is.
	Load = engine.Load
)

// Sides, actions and states.
const (
	Debit  = ledger.Debit
	Credit = ledger.Credit

	ActionBook = ledger.ActionBook
	ActionPend = ledger.ActionPend
	ActionPost = ledger.ActionPost
	ActionVoid = ledger.ActionVoid

	Pending = ledger.Pending
	Posted  = ledger.Posted
	Voided  = ledger.Voided

	Open   = ledger.Open
	Frozen = ledger.Frozen
	Closed = ledger.Closed
)

// Errors of requests, for errors.Is. Those about a field are wrapped in a
// *FieldError.
var (
	ErrAccount           = ledger.ErrAccount
	ErrUnknownAccount    = ledger.ErrUnknownAccount
	ErrAccountState      = ledger.ErrAccountState
	ErrInsufficientFunds = ledger.ErrInsufficientFunds
	ErrTransfer          = ledger.ErrTransfer
	ErrAmount            = ledger.ErrAmount
	ErrSameAccount       = ledger.ErrSameAccount
	ErrUnbalanced        = ledger.ErrUnbalanced
	ErrState             = ledger.ErrState
	ErrExpired           = ledger.ErrExpired
	ErrConflict          = ledger.ErrConflict
	ErrLinked            = ledger.ErrLinked
	ErrLimit             = ledger.ErrLimit
	ErrNotFound          = ledger.ErrNotFound
	ErrBusy              = ledger.ErrBusy
	ErrClosed            = engine.ErrClosed
)

// Config has what a Ledger may do without; zero fields mean the defaults.
type Config struct {
	// Facts has every posted transfer told in the outbox of the database, in
	// the same transaction, as backlot.settlement.transfers_posted.v1. Who runs
	// a mq.Outbox on the database, with Ledger.Expand, publishes it.
	Facts      bool
	Log        *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: no metrics
	Clock      func() time.Time      // default time.Now
}

// Ledger books transfers in the ledgers of a database. It is safe for
// concurrent use.
type Ledger struct {
	db     *database.DB
	store  *store.Store
	engine *engine.Engine
}

// newStore is another one where a test's ledgers are small.
var newStore = store.New

// Connect opens settlement's database, makes it where it is missing, and
// returns its ledgers. The service's name is settlement unless it is set.
func Connect(ctx context.Context, db database.Config, config Config) (*Ledger, error) {
	if db.Service == "" {
		db.Service = "settlement"
	}
	opened, err := database.Open(ctx, db, backlotsql.Migrations("settlement"))
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	s := newStore(opened)
	cfg := engine.Config{Log: config.Log, Registerer: config.Registerer, Clock: config.Clock}
	if config.Facts {
		cfg.Tell = api.Tell(mq.NewOutbox(mq.OutboxConfig{Service: "settlement", DB: opened, Log: config.Log, Clock: config.Clock}))
	}
	return &Ledger{db: opened, store: s, engine: engine.New(s, cfg)}, nil
}

// Close lets what waits finish, and closes the database.
func (l *Ledger) Close() error {
	l.engine.Close()
	return l.db.Close()
}

// Expand makes whole the facts of the outbox that only say where their transfers
// are, for mq.OutboxConfig.
func (l *Ledger) Expand(ctx context.Context, envelope *eventv1.Envelope) error {
	return api.Expand(l.store)(ctx, envelope)
}

// Run voids pending transfers whose time is over, until ctx ends, and returns
// nil then.
func (l *Ledger) Run(ctx context.Context) error { return l.engine.Run(ctx) }

// OpenAccounts opens accounts, each on its own. One that exists and is the same
// is returned; one that differs gives ErrConflict. Errors name the field from
// `accounts[i]` on.
func (l *Ledger) OpenAccounts(ctx context.Context, tenantID string, specs []AccountSpec) []AccountResult {
	return l.engine.Open(ctx, tenantID, specs)
}

// SetAccountState freezes, opens again or closes an account.
func (l *Ledger) SetAccountState(ctx context.Context, tenantID, accountID string, state ledger.AccountState) (Account, error) {
	return l.engine.SetAccountState(ctx, tenantID, accountID, state)
}

// Book does a tenant's requests, at most 8,192, and returns what came of each,
// in order, when it is durable. Requests that are linked are done all or none,
// others each on its own. Errors name the field from `transfers[i]` on. After
// an error that is none of this package what came of a request is not known:
// ask again with the same idempotency key.
func (l *Ledger) Book(ctx context.Context, tenantID string, requests []Request) []Result {
	return l.engine.Book(ctx, tenantID, requests)
}

// Account returns an account by id, or ErrNotFound.
func (l *Ledger) Account(ctx context.Context, tenantID, accountID string) (Account, error) {
	return l.store.AccountByID(ctx, tenantID, accountID)
}

// Transfer returns a transfer by id, or ErrNotFound.
func (l *Ledger) Transfer(ctx context.Context, tenantID, transferID string) (Transfer, error) {
	return l.store.Transfer(ctx, tenantID, transferID)
}

// Find returns the transfer with this idempotency key, or ErrNotFound.
func (l *Ledger) Find(ctx context.Context, tenantID, idempotencyKey string) (Transfer, error) {
	return l.store.Find(ctx, tenantID, idempotencyKey)
}

// BalanceAsOf returns what was posted to an account at or before a time; its
// pending sums are zero.
func (l *Ledger) BalanceAsOf(ctx context.Context, tenantID, accountID string, at time.Time) (Balance, error) {
	return l.engine.BalanceAsOf(ctx, tenantID, accountID, at)
}

// Verify recomputes all ledgers of a tenant: postings, balances and chains.
func (l *Ledger) Verify(ctx context.Context, tenantID string) (Report, error) {
	return l.store.Verify(ctx, tenantID)
}

// Load tells how busy a ledger's writer is.
func (l *Ledger) Load(tenantID, currency string) Load { return l.engine.Load(tenantID, currency) }
