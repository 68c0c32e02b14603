package runner

import (
	"context"
	"errors"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

var (
	// ErrNotFound means that there is no such transaction.
	ErrNotFound = errors.New("no such transaction")
	// ErrExists means that the xid is taken.
	ErrExists = errors.New("transaction exists")
	// ErrLost means that the transaction, or the lease, is no longer ours.
	ErrLost = errors.New("ownership lost")
)

// Key names a transaction.
type Key struct{ TenantID, XID string }

// Transaction is what is kept of one beside its log. Times are to the
// microsecond.
type Transaction struct {
	Key
	Spec      tcc.Spec
	State     tcc.State
	Problem   string // why it was cancelled or parked
	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt time.Time // end of the Try phase
	Forced    []Forced  // only of one that is being ended, for the fact
}

// Forced is a branch that an operator took for ended.
type Forced struct {
	BranchID string
	State    tcc.BranchState
	Reason   string
}

// Logged is a transaction with its log.
type Logged struct {
	Transaction
	Log []tcc.Record
}

// Status is a transaction and where its branches stand.
type Status struct {
	Transaction
	Branches []tcc.Progress
}

// Lease is a coordinator's claim on what it drives.
type Lease struct {
	ID    string // of one start of a process
	Host  string // of the data folder: an earlier start there is dead
	Until time.Time
}

// Cursor is a place in a list of transactions by creation. The zero value is
// before all of them.
type Cursor struct {
	CreatedAt time.Time
	Key
}

// Store keeps transactions and their logs. Each call that writes is atomic,
// and durable when it returns nil; those of many transactions may share a
// commit. Begin, Append and Reopen return ErrLost once what owner drives may
// be another's. An error other than those named leaves open whether it was
// written.
type Store interface {
	// Join adds a coordinator.
	Join(ctx context.Context, lease Lease) error
	// Renew moves the end of a lease that is not over at now, else ErrLost.
	Renew(ctx context.Context, lease Lease, now time.Time) error
	// Leave ends a lease at once.
	Leave(ctx context.Context, id string) error
	// TakeOver ends the leases that are over at now, and those of the same
	// host, makes the unfinished transactions of all ended ones the lease's,
	// and tells how many there were.
	TakeOver(ctx context.Context, lease Lease, now time.Time) (int64, error)

	// Begin keeps a new transaction and its first records, or returns
	// ErrExists.
	Begin(ctx context.Context, owner string, t Transaction, log []tcc.Record) error
	// Append adds records, of which there is one at least, and moves the
	// transaction to t's state, problem and time, or returns ErrLost if owner is
	// not its owner. It writes nothing where the log has gone on after what the
	// records follow. With a final state it also tells the fact that the
	// transaction has ended.
	Append(ctx context.Context, owner string, t Transaction, log []tcc.Record) error
	// Reopen is Append to a transaction whose owner it changes first: to a
	// parked one, or to one that another coordinator drives. It returns ErrLost
	// if the transaction has ended, or if its log does not end right before the
	// given records.
	Reopen(ctx context.Context, owner string, t Transaction, log []tcc.Record) error

	// Remove removes transactions that ended before a time, at most limit of
	// them, and tells how many there were.
	Remove(ctx context.Context, before time.Time, limit int) (int64, error)

	// Load returns a transaction and its log, or ErrNotFound.
	Load(ctx context.Context, key Key) (Logged, error)
	// Unfinished lists what owner has to drive, oldest first.
	Unfinished(ctx context.Context, owner string, after Cursor, limit int) ([]Logged, error)
	// List lists a tenant's transactions in any of the states (none: all),
	// newest first. before is exclusive; its zero value means from the newest.
	List(ctx context.Context, tenantID string, states []tcc.State, before Cursor, limit int) ([]Logged, error)
}

// Participants calls participants.
type Participants interface {
	// Call makes one phase call and tells how it ended, with the problem where
	// it did not succeed. It returns soon after ctx ends.
	Call(ctx context.Context, key Key, branch tcc.Branch, phase tcc.Phase) (tcc.Outcome, string)
}
