package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
)

const notes = `-- +goose Up
CREATE TABLE notes (id TEXT PRIMARY KEY, n BIGINT NOT NULL);
CREATE TABLE replies (
	id      TEXT PRIMARY KEY,
	note_id TEXT NOT NULL REFERENCES notes (id) DEFERRABLE INITIALLY DEFERRED
);
`

func migrations(versions ...int) fs.FS {
	files := fstest.MapFS{"00001_notes.sql": {Data: []byte(notes)}}
	for _, version := range versions {
		text := fmt.Sprintf("-- +goose Up\nCREATE TABLE more_%d (id TEXT PRIMARY KEY);\n", version)
		files[fmt.Sprintf("%05d_more.sql", version)] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func each(t *testing.T, suite func(t *testing.T, db *database.DB)) {
	databasetest.EachFS(t, "notes", migrations(), suite)
}

func insert(id string, n int) database.Func {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO notes (id, n) VALUES ($1, $2)", id, n)
		return err
	}
}

func count(t *testing.T, db *database.DB) int {
	t.Helper()
	var n int
	if err := db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM notes").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWriteIsSeenOnceItReturns(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		for i := range 20 {
			if err := db.Write(t.Context(), insert(fmt.Sprint(i), i)); err != nil {
				t.Fatal(err)
			}
			if got := count(t, db); got != i+1 {
				t.Fatalf("after write %d there are %d", i, got)
			}
		}
	})
}

func TestFailureOrPanicUndoesOnlyItself(t *testing.T) {
	errRefused := errors.New("refused")
	each(t, func(t *testing.T, db *database.DB) {
		var all sync.WaitGroup
		for i := range 90 {
			all.Go(func() {
				want := []error{nil, errRefused, nil}[i%3]
				defer func() {
					if got := recover(); (got != nil) != (i%3 == 2) {
						t.Errorf("write %d: recovered %v", i, got)
					}
				}()
				err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
					if err := insert(fmt.Sprint(i), i)(ctx, tx); err != nil {
						return err
					}
					if i%3 == 2 {
						panic("no")
					}
					return want
				})
				if !errors.Is(err, want) {
					t.Errorf("write %d: got %v, want %v", i, err, want)
				}
			})
		}
		all.Wait()
		if got := count(t, db); got != 30 {
			t.Errorf("%d rows, want 30", got)
		}
	})
}

func TestFailureIsNotTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		ran, errRefused := 0, errors.New("refused")
		err := db.Write(t.Context(), func(context.Context, *sql.Tx) error { ran++; return errRefused })
		if !errors.Is(err, errRefused) || ran != 1 {
			t.Errorf("got %v in %d runs", err, ran)
		}
	})
}

func TestFailureAtCommitHitsOnlyItself(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
					note := fmt.Sprint(i)
					if i == 7 {
						note = "missing"
					} else if err := insert(note, i)(ctx, tx); err != nil {
						return err
					}
					_, err := tx.ExecContext(ctx, "INSERT INTO replies (id, note_id) VALUES ($1, $2)", fmt.Sprint(i), note)
					return err
				})
				if (err != nil) != (i == 7) {
					t.Errorf("write %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if got := count(t, db); got != 19 {
			t.Errorf("%d rows, want 19", got)
		}
	})
}

// TestWriteOfMoreThanIsCachedIsWhole writes several times the writer's cache.
func TestWriteOfMoreThanIsCachedIsWhole(t *testing.T) {
	const rows = 16_000
	errRefused := errors.New("refused")
	each(t, func(t *testing.T, db *database.DB) {
		for _, want := range []error{errRefused, nil} {
			err := db.WriteAlone(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
					INSERT INTO notes (id, n) SELECT n || CAST($2 AS TEXT), n FROM numbers`, rows, strings.Repeat("x", 1000))
				return errors.Join(err, want)
			})
			if !errors.Is(err, want) {
				t.Fatal(err)
			}
			if got := count(t, db); (want == nil) != (got == rows) || want != nil && got != 0 {
				t.Errorf("after %v there are %d", err, got)
			}
		}
	})
}

func TestWriteIsNotCutOnceItRuns(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(inside context.Context, tx *sql.Tx) error {
			cancel()
			return insert("late", 1)(inside, tx)
		})
		if err != nil || count(t, db) != 1 {
			t.Errorf("got %v and %d rows", err, count(t, db))
		}
		ran := false
		err = db.Write(ctx, func(context.Context, *sql.Tx) error { ran = true; return nil })
		if !errors.Is(err, context.Canceled) || ran {
			t.Errorf("got %v, ran %v", err, ran)
		}
	})
}

func TestWritesAreSerializable(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		if err := db.Write(t.Context(), insert("counter", 0)); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		const writers, rounds = 8, 5
		for range writers {
			all.Go(func() {
				for range rounds {
					if err := db.Write(t.Context(), increment); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		var n int
		if err := db.Read().QueryRowContext(t.Context(), "SELECT n FROM notes").Scan(&n); err != nil || n != writers*rounds {
			t.Errorf("counted %d, %v, want %d", n, err, writers*rounds)
		}
	})
}

// increment reads and writes in two steps, which loses updates without
// isolation.
func increment(ctx context.Context, tx *sql.Tx) error {
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT n FROM notes WHERE id = 'counter'").Scan(&n); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE notes SET n = $1 WHERE id = 'counter'", n+1)
	return err
}

func TestAfterCommitRunsOnlyAfterACommit(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		var seen []int
		write := func(result error) error {
			return db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				if !database.AfterCommit(ctx, func() { seen = append(seen, count(t, db)) }) {
					t.Error("not inside a write")
				}
				return errors.Join(insert("a", 1)(ctx, tx), result)
			})
		}
		refused := write(errors.New("refused"))
		if err := write(nil); err != nil || refused == nil {
			t.Fatal(err, refused)
		}
		if len(seen) != 1 || seen[0] != 1 {
			t.Errorf("hooks saw %v, want [1]", seen)
		}
		if database.AfterCommit(t.Context(), func() { t.Error("it ran") }) {
			t.Error("true outside a write")
		}
	})
}

func TestWriteInsideAWriteIsRefused(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		err := db.Write(t.Context(), func(ctx context.Context, _ *sql.Tx) error {
			return db.Write(ctx, insert("a", 1))
		})
		if !errors.Is(err, database.ErrNested) {
			t.Errorf("got %v, want ErrNested", err)
		}
	})
}

func TestOpenMigratesOldAndRefusesNewer(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.PostgreSQL} {
		t.Run(string(dialect), func(t *testing.T) {
			cfg := databasetest.Config(t, dialect, "notes")
			open := func(files fs.FS) error {
				db, err := database.Open(t.Context(), cfg, files)
				if err != nil {
					return err
				}
				return db.Close()
			}
			// 50 comes later than 100 but is numbered before it.
			if err := errors.Join(open(migrations()), open(migrations(100)), open(migrations(50, 100))); err != nil {
				t.Fatal(err)
			}
			if err := open(migrations(50)); !errors.Is(err, database.ErrNewer) {
				t.Errorf("got %v, want ErrNewer", err)
			}
		})
	}
}

// A program that runs on while a newer release migrates its database is told so.
func TestProgramThatTheDatabaseHasOutgrownIsTold(t *testing.T) {
	db := databasetest.Open(t, databasetest.Config(t, database.PostgreSQL, "notes"), migrations())
	for _, change := range []string{"ALTER TABLE notes RENAME COLUMN id TO key", "ALTER TABLE notes RENAME TO papers"} {
		if _, err := db.Read().ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		err := db.Write(t.Context(), insert("a", 1))
		if !errors.Is(err, database.ErrNewer) || !strings.Contains(err.Error(), "upgrade this program") {
			t.Errorf("%s: got %v", change, err)
		}
	}
}

func TestMigrationOfOneEngineIsForItAlone(t *testing.T) {
	files := fstest.MapFS{
		"00001_notes.sql":            {Data: []byte(notes)},
		"00002_notes_postgresql.sql": {Data: []byte("-- +goose Up\nALTER TABLE notes ALTER COLUMN id SET STORAGE EXTERNAL;\n")},
		"00003_notes_sqlite.sql":     {Data: []byte("-- +goose Up\nCREATE TABLE others (id TEXT PRIMARY KEY) WITHOUT ROWID;\n")},
	}
	databasetest.EachFS(t, "notes", files, func(t *testing.T, db *database.DB) {
		if err := db.Write(t.Context(), insert("a", 1)); err != nil || count(t, db) != 1 {
			t.Error(err, count(t, db))
		}
	})
}

func TestReplicasMayOpenTogether(t *testing.T) {
	cfg := databasetest.Config(t, database.PostgreSQL, "notes")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			db, err := database.Open(t.Context(), cfg, migrations(100))
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestCloseEndsWrites(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.PostgreSQL} {
		t.Run(string(dialect), func(t *testing.T) {
			db, err := database.Open(t.Context(), databasetest.Config(t, dialect, "notes"), migrations())
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if err := db.Write(t.Context(), insert("a", 1)); !errors.Is(err, database.ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
		})
	}
}
