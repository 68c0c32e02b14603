package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/store"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	schema "github.com/backlot-video/backlot/sql"
	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
)

// together runs all at once, so that they share batches.
func together(n int, one func(i int) error) []error {
	results := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { results[i] = one(i) })
	}
	all.Wait()
	return results
}

// TestEachOfABatchGetsItsOwnResult: of many transactions at once half are
// known, and half of the entries have lost their place.
func TestEachOfABatchGetsItsOwnResult(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, told func() []string) {
		const n = 64
		begin := func(i int) error { return s.Begin(t.Context(), "one", transaction(fmt.Sprint(i)), record(1)) }
		for i := 0; i < n; i += 2 {
			if err := begin(i); err != nil {
				t.Fatal(err)
			}
		}
		for i, err := range together(n, begin) {
			if known := i%2 == 0; errors.Is(err, runner.ErrExists) != known || !known && err != nil {
				t.Errorf("begin %d: %v", i, err)
			}
		}
		end := func(i int) error {
			x := transaction(fmt.Sprint(i))
			x.State = tcc.Confirmed
			return s.Append(t.Context(), "one", x, record(2))
		}
		for i := 0; i < n; i += 2 {
			if err := end(i); err != nil {
				t.Fatal(err)
			}
		}
		for i, err := range together(n, end) {
			if taken := i%2 == 0; (err != nil) != taken || errors.Is(err, runner.ErrLost) {
				t.Errorf("end %d: %v", i, err)
			}
		}
		if facts := told(); len(facts) != n {
			t.Errorf("told of %d ends, want %d", len(facts), n)
		}
	})
}

// TestEntryAndFactAreWrittenTogether: where the fact cannot be added, neither
// its entry nor the end is there, and the rest of the batch is. The row of a
// bundle has the least of its facts' ids.
func TestEntryAndFactAreWrittenTogether(t *testing.T) {
	databasetest.Each(t, "coordinator", func(t *testing.T, db *database.DB) {
		const taken = "a"
		s := store.New(db, store.Config{Tell: func(ctx context.Context, x runner.Transaction) ([]store.Fact, error) {
			facts, err := tell(ctx, x)
			if x.XID < "5" {
				facts[0].ID = taken
			}
			return facts, err
		}})
		err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			return coordinatordb.New(tx).AddFact(ctx, coordinatordb.AddFactParams{ID: taken, TenantID: "main", Envelope: []byte{}})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Join(t.Context(), lease("one", noon)); err != nil {
			t.Fatal(err)
		}
		const n = 10
		for i := range n {
			if err := s.Begin(t.Context(), "one", transaction(fmt.Sprint(i)), record(1)); err != nil {
				t.Fatal(err)
			}
		}
		ended := 0
		for i, err := range together(n, func(i int) error {
			x := transaction(fmt.Sprint(i))
			x.State = tcc.Cancelled
			return s.Append(t.Context(), "one", x, record(2))
		}) {
			got, loadErr := s.Load(t.Context(), transaction(fmt.Sprint(i)).Key)
			if loadErr != nil || got.State.Ended() != (err == nil) || len(got.Log) == 2 != (err == nil) {
				t.Errorf("%d: %v with %d records after %v, %v", i, got.State, len(got.Log), err, loadErr)
			}
			if err == nil {
				ended++
			}
		}
		unfinished, err := s.Unfinished(t.Context(), "one", runner.Cursor{}, n)
		if err != nil || ended != 5 || len(unfinished) != 5 || len(told(t, db)) != 1+ended {
			t.Errorf("%d ended, %d unfinished, told of %d, %v", ended, len(unfinished), len(told(t, db)), err)
		}
	})
}

// TestBadTextDoesNotSpoilTheBatch: PostgreSQL takes no NUL.
func TestBadTextDoesNotSpoilTheBatch(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		for i, err := range together(16, func(i int) error {
			x := transaction(fmt.Sprint(i))
			if x.Problem = "no\x00 answer\xff"; i == 3 {
				x.XID = "3\x00"
			}
			return s.Begin(t.Context(), "one", x, record(1))
		}) {
			if err != nil && i != 3 {
				t.Errorf("%d: %v", i, err)
			}
		}
		x := transaction("0")
		x.State, x.Problem = tcc.Cancelling, "no\x00 answer\xff"
		if err := s.Append(t.Context(), "one", x, record(2)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(t.Context(), x.Key); err != nil || got.Problem != "no\uFFFD answer\uFFFD" {
			t.Errorf("got %q, %v", got.Problem, err)
		}
	})
}

// TestTakeOverWaitsForTheBatchUnderWay: what a coordinator was writing when it
// was ended is taken over too, and what it writes later is refused.
func TestTakeOverWaitsForTheBatchUnderWay(t *testing.T) {
	db := databasetest.Open(t, databasetest.Config(t, database.PostgreSQL, "coordinator"), schema.Migrations("coordinator"))
	s := store.New(db, store.Config{})
	for _, l := range []runner.Lease{lease("slow", noon), lease("heir", noon.Add(time.Hour))} {
		if err := s.Join(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	under, err := db.Read().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = under.Rollback() }()
	if _, err := under.ExecContext(t.Context(), "SELECT id FROM coordinators WHERE id = 'slow' AND lease_until > 0 FOR SHARE"); err != nil {
		t.Fatal(err)
	}
	type result struct {
		taken int64
		err   error
	}
	done := make(chan result, 1)
	go func() {
		taken, err := s.TakeOver(t.Context(), lease("heir", noon.Add(time.Hour)), noon.Add(time.Second))
		done <- result{taken, err}
	}()
	waitForLock(t, db)
	x := transaction("x")
	digest := x.Spec.Digest()
	q := coordinatordb.New(under)
	_, err = q.AddTransaction(t.Context(), coordinatordb.AddTransactionParams{
		TenantID: "main", Xid: "x", Mode: 1, Digest: digest[:], Branches: []byte{}, Records: []byte{1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.OpenTransaction(t.Context(), coordinatordb.OpenTransactionParams{Owner: "slow", TenantID: "main", Xid: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := under.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != nil || got.taken != 1 {
		t.Errorf("took over %d, %v, want 1", got.taken, got.err)
	}
	for i, err := range together(8, func(i int) error { return s.Begin(t.Context(), "slow", transaction(fmt.Sprint(i)), record(1)) }) {
		if !errors.Is(err, runner.ErrLost) {
			t.Errorf("%d: got %v, want ErrLost", i, err)
		}
	}
	if all, err := s.List(t.Context(), "main", []tcc.State{tcc.Confirmed}, runner.Cursor{}, 10); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v", xids(all), err)
	}
}

// waitForLock returns when somebody waits for a row.
func waitForLock(t *testing.T, db *database.DB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		var waiting int
		err := db.Read().QueryRowContext(ctx, "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%lease_until = 0%'").Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("nobody waits")
		}
	}
}

// TestLeaseLostAmongWrites: of writes around a take-over each is either there
// for the heir or refused.
func TestLeaseLostAmongWrites(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		const n = 200
		results := make(chan []error, 1)
		go func() {
			results <- together(n, func(i int) error {
				return s.Begin(t.Context(), "one", transaction(fmt.Sprint(i)), record(1))
			})
		}()
		if _, err := s.TakeOver(t.Context(), lease("two", noon), noon.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		written := 0
		for i, err := range <-results {
			if err == nil {
				written++
			} else if !errors.Is(err, runner.ErrLost) {
				t.Errorf("%d: %v", i, err)
			}
		}
		if _, err := s.TakeOver(t.Context(), lease("two", noon), noon.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		inherited, err := s.Unfinished(t.Context(), "two", runner.Cursor{}, n)
		if err != nil || len(inherited) != written {
			t.Errorf("%d were written, %d are the heir's, %v", written, len(inherited), err)
		}
	})
}

func TestRemoveTakesOnlyWhatEndedLongAgo(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		for _, x := range []struct {
			xid      string
			state    tcc.State
			age, end time.Duration // ago
		}{
			{"old", tcc.Confirmed, 4 * time.Hour, 3 * time.Hour},
			{"older", tcc.Cancelled, 5 * time.Hour, 4 * time.Hour},
			{"oldest", tcc.Confirmed, 6 * time.Hour, 5 * time.Hour},
			{"new", tcc.Confirmed, 10 * time.Hour, time.Hour},
			{"parked", tcc.Parked, 10 * time.Hour, 9 * time.Hour},
			{"open", tcc.Confirming, 10 * time.Hour, 9 * time.Hour},
		} {
			one := transaction(x.xid)
			one.CreatedAt = noon.Add(-x.age)
			if err := s.Begin(t.Context(), "one", one, record(1)); err != nil {
				t.Fatal(err)
			}
			one.State, one.UpdatedAt = x.state, noon.Add(-x.end)
			if err := s.Append(t.Context(), "one", one, record(2)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []struct {
			n    int64
			left string
		}{{2, "[old parked open new]"}, {1, "[parked open new]"}, {0, "[parked open new]"}} {
			n, err := s.Remove(t.Context(), noon.Add(-2*time.Hour), 2)
			all, listErr := s.List(t.Context(), "main", nil, runner.Cursor{}, 10)
			if err != nil || listErr != nil || n != want.n || fmt.Sprint(xids(all)) != want.left {
				t.Errorf("removed %d, left %v, %v, %v; want %+v", n, xids(all), err, listErr, want)
			}
		}
		if err := s.Begin(t.Context(), "one", transaction("old"), record(1)); err != nil {
			t.Errorf("the xid is not free again: %v", err)
		}
	})
}
