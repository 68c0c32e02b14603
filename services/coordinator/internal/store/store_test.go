package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/store"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123_000, time.UTC)

// suite runs a test on both engines, with a store and what it has told.
func suite(t *testing.T, test func(t *testing.T, s *store.Store, told func() []string)) {
	databasetest.Each(t, "coordinator", func(t *testing.T, db *database.DB) {
		var mu sync.Mutex
		var facts []string
		s := store.New(db, func(ctx context.Context, _ *sql.Tx, t runner.Transaction) error {
			database.AfterCommit(ctx, func() {
				mu.Lock()
				defer mu.Unlock()
				facts = append(facts, t.XID+" "+t.State.String())
			})
			return nil
		})
		test(t, s, func() []string {
			mu.Lock()
			defer mu.Unlock()
			return append([]string(nil), facts...)
		})
	})
}

func transaction(xid string) runner.Transaction {
	return runner.Transaction{
		Key: runner.Key{TenantID: "main", XID: xid}, State: tcc.Trying,
		Spec: tcc.Spec{Mode: tcc.TCC, Branches: []tcc.Branch{
			{ID: "a", Service: "storefront", Action: "entitle", PayloadType: "type.googleapis.com/x", Payload: []byte{0, 1}},
			{ID: "b", Service: "settlement", Action: "pay"},
		}},
		CreatedAt: noon, UpdatedAt: noon, ExpiresAt: noon.Add(10 * time.Second),
	}
}

// lease is that of a coordinator on a host of its own.
func lease(id string, until time.Time) runner.Lease {
	return runner.Lease{ID: id, Host: "host of " + id, Until: until}
}

// drive begins a transaction and confirms it, giving each output to write.
func drive(t *testing.T, s *store.Store, owner, xid string) (final runner.Transaction, log []tcc.Record) {
	t.Helper()
	final = transaction(xid)
	m := tcc.New(final.Spec, 3)
	out := m.Begin()
	if err := s.Begin(t.Context(), owner, final, out.Records); err != nil {
		t.Fatal(err)
	}
	log = append(log, out.Records...)
	for calls := out.Calls; len(calls) > 0; {
		next := m.Step(tcc.Result{Call: calls[0], Outcome: tcc.Succeeded})
		calls = append(calls[1:], next.Calls...)
		if len(next.Records) == 0 {
			continue
		}
		final.State, final.UpdatedAt = m.State(), final.UpdatedAt.Add(time.Millisecond)
		if err := s.Append(t.Context(), owner, final, next.Records); err != nil {
			t.Fatal(err)
		}
		log = append(log, next.Records...)
	}
	return final, log
}

func TestLogIsReadBackAsItWasWritten(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, told func() []string) {
		want, wantLog := drive(t, s, "one", "x")
		got, log, err := s.Load(t.Context(), want.Key)
		if err != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(log, wantLog) {
			t.Errorf("got %+v %v, %v", got, log, err)
		}
		if got.State != tcc.Confirmed || len(log) != 8 {
			t.Errorf("%v with %d records", got.State, len(log))
		}
		if facts := told(); !reflect.DeepEqual(facts, []string{"x confirmed"}) {
			t.Errorf("told %q", facts)
		}
		if _, _, err := s.Load(t.Context(), runner.Key{TenantID: "other", XID: "x"}); !errors.Is(err, runner.ErrNotFound) {
			t.Errorf("another tenant: got %v, want ErrNotFound", err)
		}
	})
}

func TestBeginTakesAnXIDOnce(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		var all sync.WaitGroup
		var mu sync.Mutex
		began := 0
		for range 8 {
			all.Go(func() {
				err := s.Begin(t.Context(), "one", transaction("x"), nil)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					began++
				} else if !errors.Is(err, runner.ErrExists) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if began != 1 {
			t.Errorf("begun %d times", began)
		}
		// One xid may be the beginning of another, or another tenant's.
		if err := s.Begin(t.Context(), "one", transaction("x0"), nil); err != nil {
			t.Error(err)
		}
		foreign := transaction("x")
		foreign.TenantID = "other"
		if err := s.Begin(t.Context(), "one", foreign, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestOnlyTheOwnerAppends(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, told func() []string) {
		x := transaction("x")
		out := tcc.New(x.Spec, 3).Begin()
		if err := s.Begin(t.Context(), "one", x, out.Records[:1]); err != nil {
			t.Fatal(err)
		}
		x.State = tcc.Cancelled
		if err := s.Append(t.Context(), "two", x, out.Records[1:]); !errors.Is(err, runner.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		if err := s.Append(t.Context(), "one", x, out.Records[:1]); err == nil {
			t.Error("one place in the log was taken twice")
		}
		got, log, err := s.Load(t.Context(), x.Key)
		if err != nil || got.State != tcc.Trying || len(log) != 1 || len(told()) != 0 {
			t.Errorf("a refused append has left %v, %d records, %q, %v", got.State, len(log), told(), err)
		}
	})
}

func TestDeadCoordinatorsAreTakenOver(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		live, dead, gone := lease("live", noon.Add(time.Minute)), lease("dead", noon.Add(-time.Second)), lease("gone", noon.Add(time.Minute))
		restarted := runner.Lease{ID: "earlier start", Host: "my host", Until: noon.Add(time.Minute)}
		me := runner.Lease{ID: "me", Host: "my host", Until: noon.Add(time.Minute)}
		for _, l := range []runner.Lease{live, dead, gone, restarted, me} {
			if err := s.Join(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			if err := s.Begin(t.Context(), l.ID, transaction("of "+l.ID), nil); err != nil {
				t.Fatal(err)
			}
			drive(t, s, l.ID, "ended of "+l.ID)
		}
		if err := s.Leave(t.Context(), gone.ID); err != nil {
			t.Fatal(err)
		}
		if n, err := s.TakeOver(t.Context(), me, noon); err != nil || n != 3 {
			t.Fatalf("took over %d, %v, want 3", n, err)
		}
		mine, err := s.Unfinished(t.Context(), me.ID, runner.Cursor{}, 10)
		if err != nil || fmt.Sprint(xids(mine)) != "[of dead of earlier start of gone of me]" {
			t.Errorf("mine are %v, %v", xids(mine), err)
		}
		rest, err := s.Unfinished(t.Context(), me.ID, runner.Cursor{CreatedAt: mine[1].CreatedAt, Key: mine[1].Key}, 1)
		if err != nil || fmt.Sprint(xids(rest)) != "[of gone]" {
			t.Errorf("after the second: %v, %v", xids(rest), err)
		}
		x := transaction("of dead")
		if err := s.Append(t.Context(), dead.ID, x, nil); !errors.Is(err, runner.ErrLost) {
			t.Errorf("the dead one writes: %v", err)
		}
	})
}

func TestLeaseIsOverForGood(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		l := lease("one", noon.Add(time.Second))
		if err := s.Join(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		l.Until = noon.Add(2 * time.Second)
		if err := s.Renew(t.Context(), l, noon); err != nil {
			t.Fatal(err)
		}
		if err := s.Renew(t.Context(), l, noon.Add(3*time.Second)); !errors.Is(err, runner.ErrLost) {
			t.Errorf("renewed too late: got %v, want ErrLost", err)
		}
		if err := s.Renew(t.Context(), lease("none", noon), noon); !errors.Is(err, runner.ErrLost) {
			t.Errorf("an unknown one: got %v, want ErrLost", err)
		}
		// A new one, hours later, forgets it.
		if err := s.Join(t.Context(), lease("two", noon.Add(9*time.Hour))); err != nil {
			t.Error(err)
		}
	})
}

func TestReopenTakesWhatIsOpenAndAsItWasRead(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		x := transaction("x")
		record := func(sequence int) []tcc.Record {
			return []tcc.Record{{Sequence: sequence, Branch: 0, Phase: tcc.Try, Status: tcc.StatusStarted, Attempt: 1}}
		}
		if err := s.Begin(t.Context(), "one", x, record(1)); err != nil {
			t.Fatal(err)
		}
		if err := s.Begin(t.Context(), "one", transaction("x0"), record(1)); err != nil { // x is its prefix
			t.Fatal(err)
		}
		for _, wrong := range []int{1, 3} {
			if err := s.Reopen(t.Context(), "two", x, record(wrong)); !errors.Is(err, runner.ErrLost) {
				t.Errorf("record %d: got %v, want ErrLost", wrong, err)
			}
		}
		x.State, x.Problem = tcc.Parked, "b: away"
		if err := s.Append(t.Context(), "one", x, record(2)); err != nil {
			t.Fatal(err)
		}
		if mine, err := s.Unfinished(t.Context(), "one", runner.Cursor{}, 10); err != nil || len(mine) != 1 {
			t.Errorf("a parked one is listed as unfinished: %v, %v", xids(mine), err)
		}
		x.State = tcc.Confirming
		if err := s.Reopen(t.Context(), "two", x, record(3)); err != nil {
			t.Fatal(err)
		}
		if mine, err := s.Unfinished(t.Context(), "two", runner.Cursor{}, 10); err != nil || len(mine) != 1 || mine[0].Problem != "b: away" {
			t.Errorf("reopened: %v, %v", mine, err)
		}
		if err := s.Append(t.Context(), "one", x, record(4)); !errors.Is(err, runner.ErrLost) {
			t.Errorf("its former owner: got %v, want ErrLost", err)
		}
		x.State = tcc.Confirmed
		if err := s.Append(t.Context(), "two", x, record(4)); err != nil {
			t.Fatal(err)
		}
		if err := s.Reopen(t.Context(), "one", x, record(5)); !errors.Is(err, runner.ErrLost) {
			t.Errorf("ended: got %v, want ErrLost", err)
		}
	})
}

func TestRegisteredBranchesAreInTheLog(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		x := transaction("x")
		x.Spec = tcc.Spec{
			Mode: tcc.Initiator, NotifyURL: "http://127.0.0.1/ended",
			Policy: tcc.Policy{CallTimeout: time.Second, Attempts: 9, FirstBackoff: time.Millisecond, MostBackoff: time.Minute},
		}
		m := tcc.New(x.Spec, 3)
		if err := s.Begin(t.Context(), "one", x, m.Begin().Records); err != nil {
			t.Fatal(err)
		}
		call := &tcc.HTTPCall{
			URL: "http://127.0.0.1/try", Body: []byte(`{"minor":9007199254740993}`),
			Headers: []tcc.Header{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
		}
		branches := []tcc.Branch{
			{ID: "a", Service: "settlement", Action: "pay", PayloadType: "type.googleapis.com/x", Payload: []byte{0, 1}},
			{ID: "b", HTTP: &tcc.HTTP{Try: call, Confirm: call, Cancel: &tcc.HTTPCall{URL: "http://127.0.0.1/c"}}, Policy: tcc.Policy{Attempts: 2}},
		}
		for _, branch := range branches {
			out, err := m.Register(branch)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Append(t.Context(), "one", x, out.Records); err != nil {
				t.Fatal(err)
			}
		}
		got, log, err := s.Load(t.Context(), x.Key)
		if err != nil || !reflect.DeepEqual(got.Spec, x.Spec) {
			t.Fatalf("got %+v, %v", got, err)
		}
		restored, err := tcc.Restore(got.Spec, 3, log)
		if err != nil || !reflect.DeepEqual(restored.Spec().Branches, branches) {
			t.Errorf("got %+v, %v", restored.Spec().Branches, err)
		}
	})
}

func TestListPagesByStateNewestFirst(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		for i := range 5 {
			x := transaction(strconv.Itoa(i))
			x.CreatedAt = noon.Add(time.Duration(i/2) * time.Second)
			if i%2 == 0 {
				x.State = tcc.Parked
			}
			if err := s.Begin(t.Context(), "one", x, nil); err != nil {
				t.Fatal(err)
			}
		}
		all, err := s.List(t.Context(), "main", nil, runner.Cursor{}, 3)
		if err != nil || fmt.Sprint(xids(all)) != "[4 3 2]" {
			t.Fatalf("first page %v, %v", xids(all), err)
		}
		rest, err := s.List(t.Context(), "main", nil, runner.Cursor{CreatedAt: all[2].CreatedAt, Key: all[2].Key}, 3)
		if err != nil || fmt.Sprint(xids(rest)) != "[1 0]" {
			t.Errorf("second page %v, %v", xids(rest), err)
		}
		parked, err := s.List(t.Context(), "main", []tcc.State{tcc.Parked, tcc.Confirmed}, runner.Cursor{}, 10)
		if err != nil || fmt.Sprint(xids(parked)) != "[4 2 0]" {
			t.Errorf("parked %v, %v", xids(parked), err)
		}
		if none, err := s.List(t.Context(), "other", nil, runner.Cursor{}, 10); err != nil || len(none) != 0 {
			t.Errorf("another tenant's: %v, %v", xids(none), err)
		}
	})
}

func xids(all []runner.Transaction) []string {
	names := make([]string, 0, len(all))
	for _, t := range all {
		names = append(names, t.XID)
	}
	return names
}
