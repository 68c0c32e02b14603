package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
)

// write is one write of one transaction: its beginning, or an entry of its
// log.
type write struct {
	key       runner.Key
	createdAt int64 // of the transaction
	owner     string
	begin     *coordinatordb.Transaction // nil: it is an entry
	entry     entry
	facts     []Fact // of an entry that ends the transaction

	leads bool          // it has the turn; guarded by the committer
	turn  chan struct{} // of length 1: write a batch that begins with this
	done  chan error    // of length 1: it is in another's batch, and what came of it
}

// entry is a row of transaction_entries, as it is stored.
type entry struct {
	Sequence   int32
	State      int32
	Problem    string
	OccurredAt int64
	Records    []byte
}

// size is about how many bytes it adds to a batch.
func (w *write) size() int {
	const row = 256
	n := row + len(w.entry.Records) + len(w.entry.Problem)
	for _, fact := range w.facts {
		n += row + len(fact.Envelope)
	}
	if w.begin != nil {
		n += len(w.begin.Branches) + len(w.begin.Records)
	}
	return n
}

// errTaken means that the log has gone on, or that the transaction is
// another's or has ended.
var errTaken = errors.New("place in the log is taken")

// refusal is why nothing was written though the batch was: the coordinator's
// fence was not held, or the place is taken.
func (w *write) refusal(held bool) error {
	switch {
	case !held:
		return runner.ErrLost
	case w.begin != nil:
		return runner.ErrExists
	default:
		return fmt.Errorf("append to transaction %s: %w", w.key.XID, errTaken)
	}
}

// beginning is the write of a new transaction.
func beginning(owner string, t runner.Transaction, log []tcc.Record) (*write, error) {
	row, err := encode(t)
	if err != nil {
		return nil, err
	}
	if row.Records, err = encodeRecords(log); err != nil {
		return nil, err
	}
	return &write{key: t.Key, createdAt: row.CreatedAt, owner: owner, begin: &row}, nil
}

// following is the write of an entry. With a final state it tells the facts.
func following(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record, tell Tell) (*write, error) {
	records, err := encodeRecords(log)
	if err != nil {
		return nil, err
	}
	w := &write{key: t.Key, createdAt: t.CreatedAt.UnixMicro(), owner: owner, entry: entry{
		Sequence: int32(log[0].Sequence), State: int32(t.State),
		Problem: clean(t.Problem), OccurredAt: t.UpdatedAt.UnixMicro(), Records: records,
	}}
	if !t.State.Ended() {
		return w, nil
	}
	w.facts, err = tell(ctx, t)
	return w, err
}
