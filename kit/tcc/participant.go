package tcc

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/database"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
)

// Participant is one action that a service takes part with. A nil phase does
// nothing.
type Participant struct {
	Try, Confirm, Cancel Work
}

// Config has what a Server may do without.
type Config struct {
	Log   *slog.Logger     // default none
	Clock func() time.Time // default time.Now
}

// Server serves actions by name, each call in a transaction of its own behind
// the barrier. It implements tccv1.ParticipantServiceServer.
//
// A refusal by the business rules is told by Refuse, or by a *connect.Error of
// any code; both are passed on. Any other error of a Work is logged and becomes
// INTERNAL, upon which the coordinator tries again. An error of tx must stay
// wrapped in what a Work returns: a conflict in PostgreSQL is found by it.
type Server struct {
	db      *database.DB
	actions map[string]Participant
	barrier Barrier
	log     *slog.Logger
}

var _ tccv1.ParticipantServiceServer = (*Server)(nil)

// NewServer returns a server of these actions, whose map it keeps.
func NewServer(db *database.DB, actions map[string]Participant, cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{db: db, actions: actions, barrier: Barrier{Clock: cfg.Clock}, log: cfg.Log}
}

// around a phase's transaction a process may die.
var around = map[Phase]struct{ before, after crashpoint.Point }{
	Try:     {crashpoint.New("tcc/try/before-write"), crashpoint.New("tcc/try/after-write")},
	Confirm: {crashpoint.New("tcc/confirm/before-write"), crashpoint.New("tcc/confirm/after-write")},
	Cancel:  {crashpoint.New("tcc/cancel/before-write"), crashpoint.New("tcc/cancel/after-write")},
}

// refusal marks an error as a decision of the business rules.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// Refuse marks err as a refusal by the business rules, which decides for
// Cancel. Callers see its text.
func Refuse(err error) error { return refusal{err} }

// Try checks and reserves.
func (s *Server) Try(ctx context.Context, req *tccv1.TryRequest) (*tccv1.TryResponse, error) {
	work := func(p Participant) Work { return p.Try }
	return &tccv1.TryResponse{}, s.serve(ctx, req.GetBranch(), Try, work)
}

// Confirm makes a reservation final.
func (s *Server) Confirm(ctx context.Context, req *tccv1.ConfirmRequest) (*tccv1.ConfirmResponse, error) {
	work := func(p Participant) Work { return p.Confirm }
	return &tccv1.ConfirmResponse{}, s.serve(ctx, req.GetBranch(), Confirm, work)
}

// Cancel releases a reservation.
func (s *Server) Cancel(ctx context.Context, req *tccv1.CancelRequest) (*tccv1.CancelResponse, error) {
	work := func(p Participant) Work { return p.Cancel }
	return &tccv1.CancelResponse{}, s.serve(ctx, req.GetBranch(), Cancel, work)
}

func (s *Server) serve(ctx context.Context, branch *tccv1.Branch, phase Phase, work func(Participant) Work) error {
	if branch == nil {
		return connect.NewError(connect.CodeInvalidArgument, errors.New("branch: it is missing"))
	}
	run := unknown
	if participant, known := s.actions[branch.GetAction()]; known {
		run = work(participant)
	} else if phase != Cancel { // an empty rollback of it must succeed
		return unknown(ctx, nil, branch)
	}
	if run == nil {
		run = func(context.Context, *sql.Tx, *tccv1.Branch) error { return nil }
	}
	around[phase].before.Hit()
	err := s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return s.barrier.Do(ctx, tx, branch, phase, run)
	})
	if err != nil {
		return s.code(ctx, branch, phase, err)
	}
	around[phase].after.Hit()
	return nil
}

func unknown(_ context.Context, _ *sql.Tx, branch *tccv1.Branch) error {
	return connect.NewError(connect.CodeUnimplemented, errors.New("no action "+branch.GetAction()))
}

// code makes err one that may leave the service.
func (s *Server) code(ctx context.Context, branch *tccv1.Branch, phase Phase, err error) error {
	var coded *connect.Error
	var refused refusal
	switch {
	case errors.As(err, &coded):
		return coded
	case errors.As(err, &refused):
		return connect.NewError(connect.CodeFailedPrecondition, refused.error)
	case errors.Is(err, ErrCancelled), errors.Is(err, ErrConfirmed), errors.Is(err, ErrNotTried), errors.Is(err, ErrAction):
		return connect.NewError(connect.CodeFailedPrecondition, err)
	case errors.Is(err, database.ErrClosed), errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeUnavailable, err)
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, err)
	}
	s.log.LogAttrs(ctx, slog.LevelError, "branch call failed", slog.String("xid", branch.GetXid()),
		slog.String("branch_id", branch.GetBranchId()), slog.String("action", branch.GetAction()),
		slog.String("phase", string(phase)), slog.Any("err", err))
	return connect.NewError(connect.CodeInternal, errors.New("internal error"))
}
