package tcc_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/tcc"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
)

// The simulated participant holds 1 for each branch on one account. effects is
// what ran, as its transactions committed it.
const accountSchema = `CREATE TABLE account (id INTEGER PRIMARY KEY, balance BIGINT NOT NULL, held BIGINT NOT NULL);
INSERT INTO account (id, balance, held) VALUES (1, 1000, 0);
CREATE TABLE effects (xid TEXT NOT NULL, phase TEXT NOT NULL, place BIGINT NOT NULL);
`

func simulated(t *testing.T) fs.FS {
	t.Helper()
	migrations, err := databasetest.With("kit", accountSchema)
	if err != nil {
		t.Fatal(err)
	}
	return migrations
}

// seed is a new one each time, or that of BACKLOT_TEST_SEED.
func seed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("BACKLOT_TEST_SEED"); given != "" {
		parsed, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = parsed
	}
	t.Logf("replay with BACKLOT_TEST_SEED=%d", seed)
	return seed
}

// moves are what each phase does to the account.
var moves = map[tcc.Phase]string{
	tcc.Try:     "UPDATE account SET held = held + 1",
	tcc.Confirm: "UPDATE account SET held = held - 1, balance = balance - 1",
	tcc.Cancel:  "UPDATE account SET held = held - 1",
}

func work(phase tcc.Phase, fails bool) tcc.Work {
	return func(ctx context.Context, tx *sql.Tx, branch *tccv1.Branch) error {
		if _, err := tx.ExecContext(ctx, moves[phase]); err != nil {
			return err
		}
		const note = "INSERT INTO effects (xid, phase, place) SELECT $1, $2, count(*) FROM effects WHERE xid = $1"
		if _, err := tx.ExecContext(ctx, note, branch.GetXid(), string(phase)); err != nil {
			return err
		}
		if fails {
			return errWork
		}
		return nil
	}
}

// TestRandomCallsKeepInvariants sends calls of a few branches in random order,
// many times each and several at once, some of them failing, and checks what
// they left.
func TestRandomCallsKeepInvariants(t *testing.T) {
	start := seed(t)
	databasetest.EachFS(t, "kit", simulated(t), func(t *testing.T, db *database.DB) {
		const callers, calls, branches = 4, 60, 12
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(start, uint64(caller)))
				for range calls {
					xid := fmt.Sprint(random.IntN(branches))
					phase := []tcc.Phase{tcc.Try, tcc.Try, tcc.Confirm, tcc.Cancel}[random.IntN(4)]
					fails := random.IntN(3) == 0
					if err := call(t, db, xid, phase, fails); err != nil {
						t.Errorf("%s of %s: %v", phase, xid, err)
					}
				}
			})
		}
		all.Wait()
		check(t, db)
	})
}

// call returns only errors that no order of calls explains.
func call(t *testing.T, db *database.DB, xid string, phase tcc.Phase, fails bool) error {
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		return tcc.Barrier{}.Do(ctx, tx, branchOf(xid), phase, work(phase, fails))
	})
	allowed := map[tcc.Phase][]error{
		tcc.Try:     {tcc.ErrCancelled},
		tcc.Confirm: {tcc.ErrCancelled, tcc.ErrNotTried},
		tcc.Cancel:  {tcc.ErrConfirmed},
	}
	for _, sentinel := range append(allowed[phase], errWork) {
		if errors.Is(err, sentinel) {
			return nil
		}
	}
	return err
}

// check recomputes the account from what ran, and that nothing ran twice or
// out of place.
func check(t *testing.T, db *database.DB) {
	rows, err := db.Read().QueryContext(t.Context(), "SELECT xid, phase FROM effects ORDER BY xid, place")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	ran := map[string]string{}
	for rows.Next() {
		var xid, phase string
		if err := rows.Scan(&xid, &phase); err != nil {
			t.Fatal(err)
		}
		ran[xid] += phase + " "
	}
	var wantHeld, spent int64
	for xid, phases := range ran {
		switch phases {
		case "try ":
			wantHeld++
		case "try confirm ":
			spent++
		case "try cancel ":
		default:
			t.Errorf("branch %s ran %s", xid, phases)
		}
	}
	var balance, held int64
	const account = "SELECT balance, held FROM account"
	if err := db.Read().QueryRowContext(t.Context(), account).Scan(&balance, &held); err != nil {
		t.Fatal(err)
	}
	if held != wantHeld || balance != 1000-spent {
		t.Errorf("account has balance %d, held %d; want %d, %d", balance, held, 1000-spent, wantHeld)
	}
}
