package store_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/store"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123_000, time.UTC)

// suite runs a test on both engines, with a store and what it has told.
func suite(t *testing.T, test func(t *testing.T, s *store.Store, told func() []string)) {
	databasetest.Each(t, "coordinator", func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Config{Tell: tell})
		for _, id := range []string{"one", "two"} {
			if err := s.Join(t.Context(), lease(id, noon.Add(time.Hour))); err != nil {
				t.Fatal(err)
			}
		}
		test(t, s, func() []string { return told(t, db) })
	})
}

// tell makes a fact that says what has ended and how.
func tell(_ context.Context, t runner.Transaction) ([]store.Fact, error) {
	return []store.Fact{{ID: t.TenantID + "/" + t.XID, Envelope: []byte(t.XID + " " + t.State.String())}}, nil
}

// told lists the facts in the outbox.
func told(t *testing.T, db *database.DB) (facts []string) {
	t.Helper()
	rows, err := kitdb.New(db.Read()).ListUnsent(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		all, err := mq.Facts(row.Envelope)
		if err != nil {
			t.Fatal(err)
		}
		for _, fact := range all {
			facts = append(facts, string(fact))
		}
	}
	return facts
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

// record is a log of one record.
func record(sequence int) []tcc.Record {
	return []tcc.Record{{Sequence: sequence, Phase: tcc.Try, Status: tcc.StatusStarted, Attempt: 1}}
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
		got, err := s.Load(t.Context(), want.Key)
		if err != nil || !reflect.DeepEqual(got, runner.Logged{Transaction: want, Log: wantLog}) {
			t.Errorf("got %+v, %v", got, err)
		}
		if got.State != tcc.Confirmed || len(got.Log) != 8 {
			t.Errorf("%v with %d records", got.State, len(got.Log))
		}
		if facts := told(); !reflect.DeepEqual(facts, []string{"x confirmed"}) {
			t.Errorf("told %q", facts)
		}
		if _, err := s.Load(t.Context(), runner.Key{TenantID: "other", XID: "x"}); !errors.Is(err, runner.ErrNotFound) {
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

func TestAPlaceInTheLogIsTakenOnce(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, told func() []string) {
		x := transaction("x")
		out := tcc.New(x.Spec, 3).Begin()
		if err := s.Begin(t.Context(), "one", x, out.Records[:1]); err != nil {
			t.Fatal(err)
		}
		x.State = tcc.Confirming
		if err := s.Append(t.Context(), "one", x, out.Records[1:]); err != nil {
			t.Fatal(err)
		}
		x.State = tcc.Cancelled
		if err := s.Append(t.Context(), "one", x, out.Records[1:]); err == nil || errors.Is(err, runner.ErrLost) {
			t.Errorf("the place was taken twice: %v", err)
		}
		got, err := s.Load(t.Context(), x.Key)
		if err != nil || got.State != tcc.Confirming || len(got.Log) != 2 || len(told()) != 0 {
			t.Errorf("a refused append has left %v, %d records, %q, %v", got.State, len(got.Log), told(), err)
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
		for _, l := range []runner.Lease{dead, gone, restarted, lease("never joined", noon)} {
			if err := s.Append(t.Context(), l.ID, x, record(1)); !errors.Is(err, runner.ErrLost) {
				t.Errorf("%s appends: %v", l.ID, err)
			}
			if err := s.Begin(t.Context(), l.ID, transaction("y"), nil); !errors.Is(err, runner.ErrLost) {
				t.Errorf("%s begins: %v", l.ID, err)
			}
			if err := s.Renew(t.Context(), l, noon); !errors.Is(err, runner.ErrLost) {
				t.Errorf("%s renews its lease: %v", l.ID, err)
			}
		}
		if err := s.Append(t.Context(), live.ID, transaction("of live"), record(1)); err != nil {
			t.Errorf("the live one: %v", err)
		}
	})
}

func TestLeaseIsOverForGood(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		l := lease("short", noon.Add(time.Second))
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
		if err := s.Join(t.Context(), lease("late", noon.Add(9*time.Hour))); err != nil {
			t.Error(err)
		}
	})
}

func TestReopenTakesWhatIsOpenAndAsItWasRead(t *testing.T) {
	suite(t, func(t *testing.T, s *store.Store, _ func() []string) {
		x := transaction("x")
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
		if err := s.Reopen(t.Context(), "dead", x, record(3)); !errors.Is(err, runner.ErrLost) {
			t.Errorf("without a lease: got %v, want ErrLost", err)
		}
		if err := s.Reopen(t.Context(), "two", x, record(3)); err != nil {
			t.Fatal(err)
		}
		if err := s.Reopen(t.Context(), "one", x, record(3)); !errors.Is(err, runner.ErrLost) {
			t.Errorf("a second time: got %v, want ErrLost", err)
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
		got, err := s.Load(t.Context(), x.Key)
		if err != nil || !reflect.DeepEqual(got.Spec, x.Spec) {
			t.Fatalf("got %+v, %v", got, err)
		}
		restored, err := tcc.Restore(got.Spec, 3, got.Log)
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
			if err := s.Begin(t.Context(), "one", x, record(1)); err != nil {
				t.Fatal(err)
			}
			if x.State = tcc.Confirming; i%2 == 0 {
				x.State = tcc.Parked
			}
			if err := s.Append(t.Context(), "one", x, record(2)); err != nil {
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
		confirming, err := s.List(t.Context(), "main", []tcc.State{tcc.Confirming}, runner.Cursor{}, 10)
		if err != nil || fmt.Sprint(xids(confirming)) != "[3 1]" || confirming[0].State != tcc.Confirming || len(confirming[0].Log) != 2 {
			t.Errorf("confirming %v, %v", xids(confirming), err)
		}
		if trying, err := s.List(t.Context(), "main", []tcc.State{tcc.Trying}, runner.Cursor{}, 10); err != nil || len(trying) != 0 {
			t.Errorf("trying %v, %v", xids(trying), err)
		}
		if none, err := s.List(t.Context(), "other", nil, runner.Cursor{}, 10); err != nil || len(none) != 0 {
			t.Errorf("another tenant's: %v, %v", xids(none), err)
		}
	})
}

func xids(all []runner.Logged) []string {
	names := make([]string, 0, len(all))
	for _, t := range all {
		names = append(names, t.XID)
	}
	return names
}
