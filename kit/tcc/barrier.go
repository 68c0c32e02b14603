// Package tcc is what a participant in global transactions needs: a barrier in
// its own SQL transaction, and a server that puts every call through it.
//
//	barrier.go      which calls run, which are repeats, which are refused
//	participant.go  Server, which serves a table of actions by backlot.tcc.v1
//	set.go          the barrier for many branches in one transaction
//	http.go         the same over plain HTTP, in any database of database/sql
//
// Calls may be lost, repeated, late and out of order. For each branch the
// barrier lets Try run at most once, then either Confirm or Cancel, at most
// once. A Cancel before Try (an empty rollback) runs nothing and succeeds, and
// the Try that comes after it (hanging) is refused. It drives no transaction:
// the coordinator does.
package tcc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

var (
	// ErrCancelled means Try or Confirm of a branch that was cancelled.
	ErrCancelled = errors.New("branch is cancelled")
	// ErrConfirmed means Cancel of a branch that was confirmed.
	ErrConfirmed = errors.New("branch is confirmed")
	// ErrNotTried means Confirm of a branch that was not tried.
	ErrNotTried = errors.New("branch was not tried")
	// ErrAction means a call of another action than the branch began with.
	ErrAction = errors.New("branch is of another action")
)

// Phase is one of a branch's calls.
type Phase string

// The phases.
const (
	Try     Phase = "try"
	Confirm Phase = "confirm"
	Cancel  Phase = "cancel"
)

// States of a branch, as tcc_barrier stores them.
const (
	tried          int32 = 1
	confirmed      int32 = 2
	cancelled      int32 = 3
	cancelledEmpty int32 = 4
)

// Work is what a participant does in a phase, within tx.
type Work func(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error

// Barrier lets through what may run. The zero value is ready for use.
type Barrier struct {
	Clock func() time.Time // default time.Now
}

// Do runs work in tx if this call of the branch is the first of its phase and
// in place. It returns nil without running it for a repeat and an empty
// rollback; ErrCancelled, ErrConfirmed, ErrNotTried or ErrAction for a call out
// of place; and else what work returns. The caller commits tx if Do returns
// nil and rolls it back if not: then the call has not happened. tx must be
// serializable, or block on rows that others insert (read committed does).
func (b Barrier) Do(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch, phase Phase, work Work) error {
	now := time.Now
	if b.Clock != nil {
		now = b.Clock
	}
	row := rowOf{queries: kitdb.New(tx), branch: branch, now: now().UnixMicro()}
	var first bool
	var err error
	switch phase {
	case Try:
		first, err = row.try(ctx)
	case Confirm:
		first, err = row.confirm(ctx)
	case Cancel:
		first, err = row.cancel(ctx)
	default:
		err = fmt.Errorf("no phase %q", phase)
	}
	if err != nil {
		return fmt.Errorf("%s branch %s of %s: %w", phase, branch.GetBranchId(), branch.GetXid(), err)
	}
	if !first {
		return nil
	}
	return work(ctx, tx, branch)
}

// rowOf is a branch's row in tcc_barrier.
type rowOf struct {
	queries *kitdb.Queries
	branch  *tccv1.Branch
	now     int64 // Unix microseconds
}

func (r rowOf) try(ctx context.Context) (first bool, err error) {
	if first, err := r.add(ctx, tried); first || err != nil {
		return first, err
	}
	state, err := r.state(ctx)
	if err == nil && (state == cancelled || state == cancelledEmpty) {
		err = ErrCancelled
	}
	return false, err
}

func (r rowOf) confirm(ctx context.Context) (first bool, err error) {
	for range looks {
		if first, err := r.move(ctx, confirmed); first || err != nil {
			return first, err
		}
		switch state, err := r.state(ctx); {
		case errors.Is(err, sql.ErrNoRows):
			return false, ErrNotTried
		case err != nil:
			return false, err
		case state == confirmed:
			return false, nil
		case state != tried:
			return false, ErrCancelled
		}
	}
	return false, ErrMoved
}

func (r rowOf) cancel(ctx context.Context) (first bool, err error) {
	for range looks {
		if first, err := r.move(ctx, cancelled); first || err != nil {
			return first, err
		}
		if empty, err := r.add(ctx, cancelledEmpty); empty || err != nil {
			return false, err
		}
		switch state, err := r.state(ctx); {
		case err != nil:
			return false, err
		case state == confirmed:
			return false, ErrConfirmed
		case state != tried:
			return false, nil
		}
	}
	return false, ErrMoved
}

// looks is how often a row is looked at that a Try puts in place between two
// statements, as read committed shows it: the second look finds it.
const looks = 2

// add makes the row unless there is one.
func (r rowOf) add(ctx context.Context, state int32) (bool, error) {
	n, err := r.queries.AddBranch(ctx, kitdb.AddBranchParams{
		TenantID: r.branch.GetTenantId(), Xid: r.branch.GetXid(), BranchID: r.branch.GetBranchId(),
		Action: r.branch.GetAction(), State: state, Now: r.now,
	})
	return n == 1, err
}

// move takes the row from tried to another state, if it is there.
func (r rowOf) move(ctx context.Context, next int32) (bool, error) {
	n, err := r.queries.MoveBranch(ctx, kitdb.MoveBranchParams{
		TenantID: r.branch.GetTenantId(), Xid: r.branch.GetXid(), BranchID: r.branch.GetBranchId(),
		Action: r.branch.GetAction(), State: tried, NextState: next, Now: r.now,
	})
	return n == 1, err
}

// state is that of the row, ErrAction, or sql.ErrNoRows.
func (r rowOf) state(ctx context.Context) (int32, error) {
	row, err := r.queries.GetBranch(ctx, kitdb.GetBranchParams{
		TenantID: r.branch.GetTenantId(), Xid: r.branch.GetXid(), BranchID: r.branch.GetBranchId(),
	})
	if err != nil {
		return 0, err
	}
	if row.Action != r.branch.GetAction() {
		return 0, fmt.Errorf("%w: it is %q, the call %q", ErrAction, row.Action, r.branch.GetAction())
	}
	return row.State, nil
}
