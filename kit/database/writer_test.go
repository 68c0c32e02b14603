package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
)

// held opens a SQLite database whose writer is busy until release is called.
func held(t *testing.T, cfg database.Config) (db *database.DB, release func()) {
	t.Helper()
	db = databasetest.Open(t, cfg, migrations())
	busy, free, freed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	running := sync.OnceFunc(func() { close(busy) }) // it may run again
	go func() {
		defer close(freed)
		err := db.Write(context.Background(), func(context.Context, *sql.Tx) error {
			running()
			<-free
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}()
	<-busy
	return db, sync.OnceFunc(func() { close(free); <-freed })
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) (value float64, count uint64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			metric := family.GetMetric()[0]
			return metric.GetHistogram().GetSampleSum() + metric.GetCounter().GetValue(),
				metric.GetHistogram().GetSampleCount()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0, 0
}

func TestWaitingWritesShareOneCommit(t *testing.T) {
	cfg := databasetest.Config(t, database.SQLite, "notes")
	registry := prometheus.NewRegistry()
	cfg.Registerer = registry
	db, release := held(t, cfg)
	defer release()
	const writes = 50
	var all sync.WaitGroup
	for i := range writes {
		all.Go(func() {
			if err := db.Write(t.Context(), insert(fmt.Sprint(i), i)); err != nil {
				t.Error(err)
			}
		})
	}
	release()
	all.Wait()
	// Some of the writes may have come too late for the first commits, but
	// most of them must share.
	written, commits := gauge(t, registry, "backlot_notes_database_batch_writes")
	if written != writes+1 || commits > writes/2 {
		t.Errorf("%v writes in %d commits", written, commits)
	}
}

func TestCallerThatLeftIsSkipped(t *testing.T) {
	cfg := databasetest.Config(t, database.SQLite, "notes")
	registry := prometheus.NewRegistry()
	cfg.Registerer = registry
	db, release := held(t, cfg)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		left <- db.Write(ctx, func(context.Context, *sql.Tx) error {
			t.Error("it ran")
			return nil
		})
	}()
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
	if err := db.Write(t.Context(), insert("a", 1)); err != nil {
		t.Error(err)
	}
	if refused, _ := gauge(t, registry, "backlot_notes_database_refused_writes_total"); refused != 1 {
		t.Errorf("%v refused", refused)
	}
}

func TestFullQueueBlocksUntilContextEnds(t *testing.T) {
	cfg := databasetest.Config(t, database.SQLite, "notes")
	cfg.QueueLimit = 1
	db, release := held(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error)
	for i := range 3 {
		go func() { results <- db.Write(ctx, insert(fmt.Sprint(i), i)) }()
	}
	cancel()
	for range 3 {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	release()
}

func TestOthersOutliveATransactionThatOneBreaks(t *testing.T) {
	db, release := held(t, databasetest.Config(t, database.SQLite, "notes"))
	defer release()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				if err := insert(fmt.Sprint(i), i)(ctx, tx); err != nil {
					return err
				}
				if i == 7 {
					_, err := tx.ExecContext(ctx, "ROLLBACK")
					return err
				}
				return nil
			})
			if (err != nil) != (i == 7) {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	release()
	all.Wait()
	if got := count(t, db); got != 19 {
		t.Errorf("%d rows, want 19", got)
	}
}

func TestFunctionMayEndItsGoroutine(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		var gone sync.WaitGroup
		gone.Go(func() {
			_ = db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				if err := insert("a", 1)(ctx, tx); err != nil {
					return err
				}
				runtime.Goexit()
				return nil
			})
		})
		gone.Wait()
		if err := db.Write(t.Context(), insert("b", 1)); err != nil || count(t, db) != 1 {
			t.Errorf("got %v and %d rows", err, count(t, db))
		}
	})
}

func TestReadPoolCannotWrite(t *testing.T) {
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "notes"), migrations())
	if _, err := db.Read().ExecContext(t.Context(), "INSERT INTO notes (id, n) VALUES ('a', 1)"); err == nil {
		t.Error("it can")
	}
}

func BenchmarkWrite(b *testing.B) {
	db := databasetest.Open(b, databasetest.Config(b, database.SQLite, "notes"), migrations())
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := db.Write(b.Context(), func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO notes (id, n) VALUES (lower(hex(randomblob(16))), 1)")
				return err
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
}
