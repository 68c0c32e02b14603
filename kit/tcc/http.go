package tcc

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"

	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
)

// Schema makes the barrier's table where it is missing, in SQLite and in
// PostgreSQL, for databases that do not have Backlot's migrations.
const Schema = `CREATE TABLE IF NOT EXISTS tcc_barrier (
    tenant_id  TEXT NOT NULL,
    xid        TEXT NOT NULL,
    branch_id  TEXT NOT NULL,
    action     TEXT NOT NULL,
    state      INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, xid, branch_id)
)`

// Headers by which the coordinator says what a call by plain HTTP is.
const (
	HeaderXID    = "Backlot-Xid" // escaped as in a URL's path
	HeaderBranch = "Backlot-Branch-Id"
	HeaderPhase  = "Backlot-Phase"
	HeaderTenant = "Backlot-Tenant" // escaped as in a URL's path
)

// maxHTTPBody is twice what the coordinator lets a branch have.
const maxHTTPBody = 128 << 10

// Transact runs fn in a SQL transaction, commits where fn returns nil, and
// rolls back where it does not. kit/database's DB.Write is one.
type Transact func(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error

// SQL transacts in a database of database/sql with the driver's default
// isolation. It is right for PostgreSQL by github.com/jackc/pgx/v5/stdlib, and
// for modernc.org/sqlite opened with _txlock=immediate. Conflicts are errors,
// upon which the coordinator calls again.
func SQL(db *sql.DB) Transact {
	return func(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		if err := fn(ctx, tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	}
}

// HTTPCall is one call that has passed the barrier.
type HTTPCall struct {
	TenantID, XID, BranchID string
	Phase                   Phase
	Body                    []byte // JSON, as the transaction gave it for this phase
}

// HTTPWork is what a participant does in a phase, within tx.
type HTTPWork func(ctx context.Context, tx *sql.Tx, call HTTPCall) error

// HTTPParticipant is one action over plain HTTP. A nil phase does nothing.
type HTTPParticipant struct {
	Try, Confirm, Cancel HTTPWork
}

// httpHandler serves one action behind the barrier.
type httpHandler struct {
	transact Transact
	action   string
	works    map[Phase]HTTPWork
	barrier  Barrier
	log      *slog.Logger
}

// NewHTTPHandler serves an action to a coordinator's branches over plain HTTP:
// the URLs of all three phases may be the one where it is mounted. action names
// the branch in the barrier's table.
//
// It answers 204 for what is done or was done before, 409 with a JSON message
// for what Refuse says and for calls out of place, 400 for a call without the
// coordinator's headers, and 500 for other errors, which are logged. Who may
// call is for what it is wrapped in to say.
func NewHTTPHandler(transact Transact, action string, participant HTTPParticipant, cfg Config) http.Handler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &httpHandler{
		transact: transact, action: action, barrier: Barrier{Clock: cfg.Clock}, log: cfg.Log,
		works: map[Phase]HTTPWork{Try: participant.Try, Confirm: participant.Confirm, Cancel: participant.Cancel},
	}
}

// ServeHTTP implements http.Handler.
func (h *httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "only POST is served")
		return
	}
	call, err := readCall(w, r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			refuse(w, http.StatusRequestEntityTooLarge, "body: more than "+fmt.Sprint(maxHTTPBody)+" bytes")
			return
		}
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	err = h.serve(r.Context(), call)
	var refused refusal
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.As(err, &refused):
		refuse(w, http.StatusConflict, refused.Error())
	case errors.Is(err, ErrCancelled), errors.Is(err, ErrConfirmed), errors.Is(err, ErrNotTried), errors.Is(err, ErrAction):
		refuse(w, http.StatusConflict, err.Error())
	default:
		h.log.LogAttrs(r.Context(), slog.LevelError, "branch call failed", slog.String("xid", call.XID),
			slog.String("branch_id", call.BranchID), slog.String("action", h.action),
			slog.String("phase", string(call.Phase)), slog.Any("err", err))
		refuse(w, http.StatusInternalServerError, "internal error")
	}
}

func (h *httpHandler) serve(ctx context.Context, call HTTPCall) error {
	branch := &tccv1.Branch{Xid: call.XID, BranchId: call.BranchID, TenantId: call.TenantID, Action: h.action}
	work := func(ctx context.Context, tx *sql.Tx, _ *tccv1.Branch) error {
		if own := h.works[call.Phase]; own != nil {
			return own(ctx, tx, call)
		}
		return nil
	}
	return h.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return h.barrier.Do(ctx, tx, branch, call.Phase, work)
	})
}

// readCall reads the headers and the body; an error names the header at fault.
func readCall(w http.ResponseWriter, r *http.Request) (HTTPCall, error) {
	call := HTTPCall{BranchID: r.Header.Get(HeaderBranch), Phase: Phase(r.Header.Get(HeaderPhase))}
	var err error
	if call.XID, err = url.PathUnescape(r.Header.Get(HeaderXID)); err != nil || call.XID == "" || len(call.XID) > 128*4 {
		return call, errors.New(HeaderXID + ": it is missing or no xid")
	}
	if call.TenantID, err = url.PathUnescape(r.Header.Get(HeaderTenant)); err != nil || call.TenantID == "" || len(call.TenantID) > 64*4 {
		return call, errors.New(HeaderTenant + ": it is missing or no tenant")
	}
	if call.BranchID == "" || len(call.BranchID) > 64 {
		return call, errors.New(HeaderBranch + ": it is missing or too long")
	}
	if call.Phase != Try && call.Phase != Confirm && call.Phase != Cancel {
		return call, errors.New(HeaderPhase + ": want try, confirm or cancel")
	}
	call.Body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxHTTPBody))
	return call, err
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the caller has gone
}
