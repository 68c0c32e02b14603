package tcc_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/tcc"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
)

func request(xid, action string) *tccv1.TryRequest {
	branch := branchOf(xid)
	branch.Action = action
	return &tccv1.TryRequest{Branch: branch}
}

func TestServerTellsRefusalsFromFaults(t *testing.T) {
	errPoor := errors.New("insufficient funds")
	failing := func(err error) tcc.Participant {
		return tcc.Participant{Try: func(context.Context, *sql.Tx, *tccv1.Branch) error { return err }}
	}
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		server := tcc.NewServer(db, map[string]tcc.Participant{
			"fine":    {},
			"refused": failing(tcc.Refuse(errPoor)),
			"coded":   failing(connect.NewError(connect.CodeNotFound, errPoor)),
			"broken":  failing(errors.New("secret of the database")),
		}, tcc.Config{})
		for action, want := range map[string]connect.Code{
			"refused": connect.CodeFailedPrecondition, "coded": connect.CodeNotFound,
			"broken": connect.CodeInternal, "unknown": connect.CodeUnimplemented,
		} {
			_, err := server.Try(t.Context(), request(action, action))
			if connect.CodeOf(err) != want || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", action, err)
			}
		}
		if _, err := server.Try(t.Context(), request("fine", "fine")); err != nil {
			t.Error(err)
		}
		if _, err := server.Try(t.Context(), &tccv1.TryRequest{}); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("no branch: %v", err)
		}
	})
}

func TestServerRefusesCallsOutOfPlace(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		server := tcc.NewServer(db, map[string]tcc.Participant{"pay": {}}, tcc.Config{})
		ctx, branch := t.Context(), branchOf("1")
		if _, err := server.Confirm(ctx, &tccv1.ConfirmRequest{Branch: branch}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
			t.Errorf("confirm before try: %v", err)
		}
		if _, err := server.Cancel(ctx, &tccv1.CancelRequest{Branch: branch}); err != nil {
			t.Errorf("empty rollback: %v", err)
		}
		if _, err := server.Try(ctx, &tccv1.TryRequest{Branch: branch}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
			t.Errorf("hanging try: %v", err)
		}
		unknown := branchOf("2")
		unknown.Action = "unknown"
		if _, err := server.Cancel(ctx, &tccv1.CancelRequest{Branch: unknown}); err != nil {
			t.Errorf("empty rollback of an unknown action: %v", err)
		}
	})
}

func TestServerWorksInTheBarriersTransaction(t *testing.T) {
	databasetest.EachFS(t, "kit", simulated(t), func(t *testing.T, db *database.DB) {
		server := tcc.NewServer(db, map[string]tcc.Participant{"pay": {
			Try: work(tcc.Try, false), Confirm: work(tcc.Confirm, false), Cancel: work(tcc.Cancel, false),
		}}, tcc.Config{})
		ctx := t.Context()
		for range 2 {
			for _, xid := range []string{"1", "2"} {
				if _, err := server.Try(ctx, &tccv1.TryRequest{Branch: branchOf(xid)}); err != nil {
					t.Error(err)
				}
			}
		}
		for range 2 {
			_, confirmed := server.Confirm(ctx, &tccv1.ConfirmRequest{Branch: branchOf("1")})
			_, cancelled := server.Cancel(ctx, &tccv1.CancelRequest{Branch: branchOf("2")})
			if err := errors.Join(confirmed, cancelled); err != nil {
				t.Error(err)
			}
		}
		check(t, db)
		var balance int64
		if err := db.Read().QueryRowContext(ctx, "SELECT balance FROM account").Scan(&balance); err != nil || balance != 999 {
			t.Errorf("balance %d, %v", balance, err)
		}
	})
}
