package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/store"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	schema "github.com/backlot-video/backlot/sql"
)

// migrationsBefore are coordinator's without the one of this name and later
// ones.
func migrationsBefore(t *testing.T, first string) fs.FS {
	t.Helper()
	all := schema.Migrations("coordinator")
	before := fstest.MapFS{}
	names, err := fs.Glob(all, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(all, name)
		if err != nil {
			t.Fatal(err)
		}
		if name < first {
			before[name] = &fstest.MapFile{Data: text}
		}
	}
	return before
}

// old are transactions as they were stored before open_transactions: their
// states in their rows, with a log of entries or, older, of records.
var old = []struct {
	xid     string
	state   tcc.State
	entries []tcc.State
	records int
}{
	{"begun", tcc.Trying, nil, 0},
	{"confirming", tcc.Trying, []tcc.State{tcc.Confirming}, 0},
	{"confirmed", tcc.Confirmed, []tcc.State{tcc.Confirming, tcc.Confirmed}, 0},
	{"parked", tcc.Parked, []tcc.State{tcc.Parked}, 0},
	{"older and confirming", tcc.Confirming, nil, 3},
	{"older and cancelled", tcc.Cancelled, nil, 3},
	{"older and parked", tcc.Parked, nil, 3},
}

func writeOld(t *testing.T, db *database.DB) {
	t.Helper()
	none, branches := []byte{1}, branches(t) // no records, in their stored form
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		exec := func(query string, args ...any) {
			if _, err := tx.ExecContext(ctx, query, args...); err != nil {
				t.Fatal(err)
			}
		}
		exec(`INSERT INTO coordinators (id, tenant_id, host, lease_until) VALUES ('one', '', 'h', 1)`)
		for _, x := range old {
			digest, first := transaction(x.xid).Spec.Digest(), none
			if x.records > 0 {
				first = []byte{}
			}
			exec(`INSERT INTO transactions (tenant_id, xid, mode, state, owner, digest, branches, problem, created_at, updated_at, expires_at, records)
				VALUES ('main', $1, 1, $2, 'one', $3, $4, $5, $6, $6, $6, $7)`,
				x.xid, int32(x.state), digest[:], branches, "of "+x.xid, noon.UnixMicro(), first)
			for i, state := range x.entries {
				exec(`INSERT INTO transaction_entries (tenant_id, xid, sequence, state, problem, occurred_at, records) VALUES ('main', $1, $2, $3, $4, $5, $6)`,
					x.xid, i+1, int32(state), "of "+x.xid, noon.UnixMicro(), none)
			}
			for i := range x.records {
				exec(`INSERT INTO transaction_log (tenant_id, xid, sequence, branch, phase, status, attempt, problem, occurred_at)
					VALUES ('main', $1, $2, 0, 1, 1, 1, '', 0)`, x.xid, i+1)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// branches are those of transaction, as they are stored.
func branches(t *testing.T) (stored []byte) {
	t.Helper()
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "coordinator"), schema.Migrations("coordinator"))
	s := store.New(db, store.Config{})
	if err := s.Join(t.Context(), lease("any", noon.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(t.Context(), "any", transaction("any"), record(1)); err != nil {
		t.Fatal(err)
	}
	if err := db.Read().QueryRowContext(t.Context(), `SELECT branches FROM transactions`).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	return stored
}

// TestTransactionsOfBeforeGoOn: an upgrade keeps states, problems and owners,
// and what began before it is driven and removed like any other.
func TestTransactionsOfBeforeGoOn(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.PostgreSQL} {
		t.Run(string(dialect), func(t *testing.T) {
			config := databasetest.Config(t, dialect, "coordinator")
			before, err := database.Open(t.Context(), config, migrationsBefore(t, "00104"))
			if err != nil {
				t.Fatal(err)
			}
			writeOld(t, before)
			if err := before.Close(); err != nil {
				t.Fatal(err)
			}
			goOn(t, databasetest.Open(t, config, schema.Migrations("coordinator")))
		})
	}
}

func goOn(t *testing.T, db *database.DB) {
	t.Helper()
	s := store.New(db, store.Config{Tell: tell})
	for _, x := range old {
		want, problem := x.state, "of "+x.xid
		if len(x.entries) > 0 {
			want = x.entries[len(x.entries)-1]
		}
		if want == tcc.Trying {
			problem = "" // there is none while it is tried
		}
		got, err := s.Load(t.Context(), runner.Key{TenantID: "main", XID: x.xid})
		if err != nil || got.State != want || got.Problem != problem || len(got.Log) != x.records {
			t.Errorf("%s: got %v %q with %d records, %v", x.xid, got.State, got.Problem, len(got.Log), err)
		}
	}
	parked, err := s.List(t.Context(), "main", []tcc.State{tcc.Parked}, runner.Cursor{}, 10)
	if err != nil || fmt.Sprint(xids(parked)) != "[parked older and parked]" {
		t.Errorf("parked: %v, %v", xids(parked), err)
	}
	open, err := s.Unfinished(t.Context(), "one", runner.Cursor{}, 10)
	if err != nil || fmt.Sprint(xids(open)) != "[begun confirming older and confirming]" {
		t.Errorf("unfinished: %v, %v", xids(open), err)
	}
	x := transaction("older and confirming")
	x.State = tcc.Confirmed
	if err := s.Append(t.Context(), "one", x, record(4)); err != nil {
		t.Fatal(err)
	}
	x = transaction("older and parked")
	x.State = tcc.Cancelled
	if err := s.Reopen(t.Context(), "one", x, record(4)); err != nil {
		t.Fatal(err)
	}
	ended, err := s.List(t.Context(), "main", []tcc.State{tcc.Confirmed, tcc.Cancelled}, runner.Cursor{}, 10)
	if err != nil || len(ended) != 4 {
		t.Errorf("ended: %v, %v", xids(ended), err)
	}
	if n, err := s.Remove(t.Context(), noon.Add(time.Hour), 10); err != nil || n != 4 {
		t.Errorf("removed %d, %v", n, err)
	}
	var left, log int
	row := db.Read().QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM transactions), (SELECT COUNT(*) FROM transaction_log)`)
	if err := row.Scan(&left, &log); err != nil || left != 3 || log != 0 {
		t.Errorf("%d transactions and %d records are left, %v", left, log, err)
	}
}
