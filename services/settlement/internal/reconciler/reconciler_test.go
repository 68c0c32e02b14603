package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/money"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/reconcile"
	"github.com/backlot-video/backlot/services/settlement/internal/reconciler"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

type fixture struct {
	*reconciler.Reconciler
	t     *testing.T
	kept  *store.Reconciliations
	now   atomic.Pointer[time.Time]
	led   *store.Store
	books *engine.Engine
}

func suite(t *testing.T, test func(f *fixture)) {
	databasetest.Each(t, "settlement", func(t *testing.T, db *database.DB) {
		f := &fixture{t: t, kept: store.NewReconciliations(db)}
		f.now.Store(&noon)
		clock := func() time.Time { return *f.now.Load() }
		f.led = store.New(db)
		f.books = engine.New(f.led, engine.Config{Clock: clock})
		t.Cleanup(f.books.Close)
		f.Reconciler = reconciler.New(f.led, f.kept, clock)
		test(f)
	})
}

// topUp books a payment that came in, and posts it unless it is to stay open.
func (f *fixture) topUp(reference string, minor int64, post bool) {
	f.t.Helper()
	draft := ledger.TopUpOf("main", "ann", money.Amount{Minor: minor, Currency: "USD"})
	draft.Reference, draft.IdempotencyKey = reference, reference
	err := f.books.Write(f.t.Context(), "main", "USD", func(ctx context.Context, tx *engine.Tx) error {
		_, err := tx.Pend(ctx, draft)
		if err == nil && post {
			_, err = tx.Post(ctx, "main", reference)
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) start(key string) store.Reconciliation {
	f.t.Helper()
	if _, err := f.Start(f.t.Context(), "main", "ever.csv", "of all time", time.UnixMicro(0), noon, nil); err != nil {
		f.t.Fatal(err)
	}
	r, err := f.Start(f.t.Context(), "main", "file.csv", key, noon, noon.Add(time.Hour), &settlementv1.ColumnMapping{State: "status"})
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func TestFileIsTakenInPartsAndCompared(t *testing.T) {
	suite(t, func(f *fixture) {
		before := noon.Add(-time.Minute)
		f.now.Store(&before)
		f.topUp("before", 100, true)
		f.topUp("before too", 100, true) // not of the file's time: not missing
		f.now.Store(&noon)
		f.topUp("same", 100, true)
		f.topUp("other", 100, true)
		f.topUp("lacking", 100, true)
		f.topUp("open", 100, false)
		r := f.start("k")
		if again := f.start("k"); again.ID != r.ID {
			f.t.Errorf("the key gave %s and %s", r.ID, again.ID)
		}
		if _, err := f.Start(f.t.Context(), "main", "another.csv", "k", noon, noon.Add(time.Hour), nil); !errors.Is(err, store.ErrKeyReused) {
			f.t.Errorf("got %v, want ErrKeyReused", err)
		}
		file := "reference,amount,currency,status\nbefore,1.00,USD,paid\nsame,1.00,USD,paid\nother,2.00,USD,paid\nstrange,1.00,USD,paid\n"
		for at := 0; at < len(file); at += 17 {
			part := file[at:min(at+17, len(file))]
			for range 2 { // every part may come again
				size, err := f.Add(f.t.Context(), "main", r.ID, int64(at), []byte(part))
				if err != nil || size != int64(at+len(part)) {
					f.t.Fatalf("part at %d: %d, %v", at, size, err)
				}
			}
		}
		for _, offset := range []int64{int64(len(file)) + 1, int64(len(file)) - 1} {
			if _, err := f.Add(f.t.Context(), "main", r.ID, offset, []byte("xxx")); !errors.Is(err, store.ErrPlace) {
				f.t.Errorf("part at %d: got %v, want ErrPlace", offset, err)
			}
		}
		if _, err := f.Add(f.t.Context(), "main", r.ID, reconcile.MaxSize, []byte("x")); !errors.Is(err, reconciler.ErrTooLarge) {
			f.t.Errorf("got %v, want ErrTooLarge", err)
		}
		for range 2 { // finishing again gives the same
			done, err := f.Finish(f.t.Context(), "main", r.ID)
			report := new(settlementv1.Reconciliation)
			if err := errors.Join(err, proto.Unmarshal(done.Report, report)); err != nil {
				f.t.Fatal(err)
			}
			if done.State != store.ReconciliationFinished || report.GetRows() != 4 || report.GetMatched() != 2 || report.GetDifferences() != 3 {
				f.t.Errorf("state %d, %v", done.State, report)
			}
		}
		list, err := f.kept.Differences(f.t.Context(), r.ID, 0, 10)
		var got []string
		for _, difference := range list {
			message := new(settlementv1.ReconciliationDifference)
			if err := proto.Unmarshal(difference.Data, message); err != nil {
				f.t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %d", message.GetReference(), message.GetKind()))
		}
		if err != nil || strings.Join(got, ", ") != "other 3, strange 1, lacking 2" {
			f.t.Errorf("differences %s, %v", strings.Join(got, ", "), err)
		}
		if _, err := f.Add(f.t.Context(), "main", r.ID, int64(len(file)), []byte("x")); !errors.Is(err, store.ErrEnded) {
			f.t.Errorf("got %v, want ErrEnded", err)
		}
		if _, err := f.kept.Part(f.t.Context(), r.ID, 0); !errors.Is(err, store.ErrNotFound) {
			f.t.Errorf("the file is still here: %v", err)
		}
		if _, err := f.Finish(f.t.Context(), "other", r.ID); !errors.Is(err, store.ErrNotFound) {
			f.t.Errorf("another tenant: %v", err)
		}
	})
}

func TestFileThatCannotBeReadFails(t *testing.T) {
	suite(t, func(f *fixture) {
		r := f.start("k")
		if _, err := f.Add(f.t.Context(), "main", r.ID, 0, []byte("reference,amount,currency\nx,five,USD\n")); err != nil {
			f.t.Fatal(err)
		}
		_, err := f.Finish(f.t.Context(), "main", r.ID)
		if !errors.Is(err, reconcile.ErrFile) || !strings.Contains(err.Error(), "line 2, column 3: amount") {
			f.t.Errorf("got %v", err)
		}
		failed, err := f.Finish(f.t.Context(), "main", r.ID)
		if err != nil || failed.State != store.ReconciliationFailed || !strings.Contains(failed.Problem, "line 2, column 3") {
			f.t.Errorf("got %+v, %v", failed, err)
		}
		empty := f.start("empty")
		if _, err := f.Finish(f.t.Context(), "main", empty.ID); !errors.Is(err, reconcile.ErrFile) {
			f.t.Errorf("empty file: %v", err)
		}
		list, err := f.kept.List(f.t.Context(), "main", "", 1)
		if err != nil || len(list) != 1 || list[0].ID != empty.ID {
			f.t.Errorf("got %+v, %v", list, err)
		}
		list, err = f.kept.List(f.t.Context(), "main", empty.ID, 10)
		if err != nil || len(list) != 2 || list[0].ID != r.ID || list[1].Name != "ever.csv" {
			f.t.Errorf("got %+v, %v", list, err)
		}
	})
}
