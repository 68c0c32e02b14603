// Package databasetest runs a test on every engine that kit/database knows.
//
//	databasetest.go  Each, With, Config and Open
//	postgres.go      a PostgreSQL server of the test binary's own; detached_*.go is its process
//
// It is for tests only. Tests that it gives a database may run in parallel.
package databasetest

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/backlot-video/backlot/kit/database"
	schema "github.com/backlot-video/backlot/sql"
)

// Each runs suite twice, as subtests: on SQLite and on a real PostgreSQL, each
// time on an empty database of its own with the service's migrations.
func Each(t *testing.T, service string, suite func(t *testing.T, db *database.DB)) {
	t.Helper()
	EachFS(t, service, schema.Migrations(service), suite)
}

// EachFS is Each with migrations of the caller's.
func EachFS(t *testing.T, service string, migrations fs.FS, suite func(t *testing.T, db *database.DB)) {
	t.Helper()
	for _, dialect := range []database.Dialect{database.SQLite, database.PostgreSQL} {
		t.Run(string(dialect), func(t *testing.T) {
			suite(t, Open(t, Config(t, dialect, service), migrations))
		})
	}
}

// With returns a service's migrations and one more, which has the given Up part,
// for tests that need a table of their own.
func With(service, up string) (fs.FS, error) {
	all := fstest.MapFS{"99999_test.sql": {Data: []byte("-- +goose Up\n" + up)}}
	migrations := schema.Migrations(service)
	names, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(migrations, name)
		if err != nil {
			return nil, err
		}
		all[name] = &fstest.MapFile{Data: text}
	}
	return all, nil
}

var schemas atomic.Int64

// Config is that of a new, empty database, which lasts as long as the test.
func Config(t testing.TB, dialect database.Dialect, service string) database.Config {
	t.Helper()
	cfg := database.Config{
		Service: service, DataDir: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if dialect == database.PostgreSQL {
		cfg.URL = PostgresURL(t)
		cfg.Schema = fmt.Sprintf("%s_%d_%d", service, os.Getpid(), schemas.Add(1))
	}
	return cfg
}

// Open opens cfg's database and closes it when the test ends.
func Open(t testing.TB, cfg database.Config, migrations fs.FS) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), cfg, migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
