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

// ErrMoved means that others have called a branch of a Set meanwhile. The
// transaction must not commit, and may be run again.
var ErrMoved = errors.New("branch was called by others meanwhile")

// Set is the barrier for calls of many branches in one transaction: read at
// once, decided in memory, written at once. It is for one goroutine.
type Set struct {
	rows map[branchKey]*setRow
	now  int64 // Unix microseconds
}

type branchKey struct{ tenantID, xid, branchID string }

func keyOf(branch *tccv1.Branch) branchKey {
	return branchKey{branch.GetTenantId(), branch.GetXid(), branch.GetBranchId()}
}

type setRow struct {
	branch        *tccv1.Branch
	action        string
	before, state int32 // 0 where there is no row
}

// Load reads what the barrier has of these branches.
func (b Barrier) Load(ctx context.Context, tx *sql.Tx, branches []*tccv1.Branch) (*Set, error) {
	now := time.Now
	if b.Clock != nil {
		now = b.Clock
	}
	s := &Set{rows: make(map[branchKey]*setRow, len(branches)), now: now().UnixMicro()}
	queries := kitdb.New(tx)
	for _, branch := range branches {
		key := keyOf(branch)
		if s.rows[key] != nil {
			continue
		}
		row := &setRow{branch: branch, action: branch.GetAction()}
		found, err := queries.GetBranch(ctx, kitdb.GetBranchParams{TenantID: key.tenantID, Xid: key.xid, BranchID: key.branchID})
		switch {
		case err == nil:
			row.action, row.before, row.state = found.Action, found.State, found.State
		case !errors.Is(err, sql.ErrNoRows):
			return nil, err
		}
		s.rows[key] = row
	}
	return s, nil
}

// Check decides about a call as Barrier.Do does: whether its work is to run
// now, or why it is refused; neither for a repeat and an empty rollback. Of a
// call whose work has succeeded Pass must be told before the next Check.
func (s *Set) Check(branch *tccv1.Branch, phase Phase) (first bool, err error) {
	row := s.rows[keyOf(branch)]
	first, err = row.check(branch.GetAction(), phase)
	if err != nil {
		err = fmt.Errorf("%s branch %s of %s: %w", phase, branch.GetBranchId(), branch.GetXid(), err)
	}
	return first, err
}

func (r *setRow) check(action string, phase Phase) (first bool, err error) {
	if r.state != 0 && r.action != action {
		return false, fmt.Errorf("%w: it is %q, the call %q", ErrAction, r.action, action)
	}
	switch phase {
	case Try:
		if r.state == cancelled || r.state == cancelledEmpty {
			return false, ErrCancelled
		}
		return r.state == 0, nil
	case Confirm:
		switch r.state {
		case 0:
			return false, ErrNotTried
		case tried, confirmed:
			return r.state == tried, nil
		}
		return false, ErrCancelled
	case Cancel:
		switch r.state {
		case 0:
			r.state = cancelledEmpty
		case confirmed:
			return false, ErrConfirmed
		}
		return r.state == tried, nil
	}
	return false, fmt.Errorf("no phase %q", phase)
}

// Pass notes that the work of a call is done.
func (s *Set) Pass(branch *tccv1.Branch, phase Phase) {
	states := map[Phase]int32{Try: tried, Confirm: confirmed, Cancel: cancelled}
	row := s.rows[keyOf(branch)]
	row.state, row.action = states[phase], branch.GetAction()
}

// Changed reports whether there is something to Save.
func (s *Set) Changed() bool {
	for _, row := range s.rows {
		if row.state != row.before {
			return true
		}
	}
	return false
}

// Save writes what has changed, or returns ErrMoved.
func (s *Set) Save(ctx context.Context, tx *sql.Tx) error {
	queries := kitdb.New(tx)
	for key, row := range s.rows {
		var n int64
		var err error
		switch {
		case row.state == row.before:
			continue
		case row.before == 0:
			n, err = queries.AddBranch(ctx, kitdb.AddBranchParams{
				TenantID: key.tenantID, Xid: key.xid, BranchID: key.branchID, Action: row.action, State: row.state, Now: s.now,
			})
		default:
			n, err = queries.MoveBranch(ctx, kitdb.MoveBranchParams{
				TenantID: key.tenantID, Xid: key.xid, BranchID: key.branchID, Action: row.action,
				State: row.before, NextState: row.state, Now: s.now,
			})
		}
		if err == nil && n != 1 {
			err = ErrMoved
		}
		if err != nil {
			return fmt.Errorf("branch %s of %s: %w", key.branchID, key.xid, err)
		}
	}
	return nil
}

// Coded makes an error of a call one that may leave the service, as the
// server's own calls do: for services that run branches by a Set.
func (s *Server) Coded(ctx context.Context, branch *tccv1.Branch, phase Phase, err error) error {
	if err == nil {
		return nil
	}
	return s.code(ctx, branch, phase, err)
}
