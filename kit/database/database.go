// Package database opens a service's own SQL database, SQLite or PostgreSQL,
// and runs transactions in it.
//
//	database.go    Open, Config, DB and Write
//	sqlite.go      opening a SQLite file
//	writer.go      SQLite's one writer: many callers, one commit
//	checkpoint.go  moving pages from SQLite's log to its file, beside the writer
//	postgres.go    opening a PostgreSQL schema; transactions that are retried
//	migrate.go     bringing the schema up to date, refusing a newer one
//	hook.go        what runs after a commit
//	metrics.go     what is measured
//
// It has no queries and no query builder: those come from sqlc. All methods
// are safe for concurrent use.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("database is closed")
	// ErrNested means that Write was called inside a function given to Write.
	ErrNested = errors.New("write inside a write")
	// ErrNewer means a database that a newer release has migrated.
	ErrNewer = errors.New("database is of a newer release")
)

// Dialect names a database engine.
type Dialect string

// The engines.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgresql"
)

// Config tells where the database of a service is.
type Config struct {
	Service    string                // required: names the file, the schema and the metrics
	DataDir    string                // SQLite: folder of <service>.db; made where it is missing
	URL        string                // PostgreSQL where set, as in postgres://user@host/db
	Schema     string                // PostgreSQL schema; default Service
	QueueLimit int                   // SQLite: writes that may wait, then Write blocks; default 1024
	BatchLimit int                   // SQLite: writes in one commit; default 256
	Retries    int                   // PostgreSQL: attempts after a conflict; default 20
	Log        *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: no metrics
	Clock      func() time.Time      // measures commits; default time.Now
}

// DB is one service's database.
type DB struct {
	dialect Dialect
	read    *sql.DB
	write   *sql.DB
	run     func(ctx context.Context, fn Func) error
	alone   func(ctx context.Context, fn Func) error // nil where run is
	stop    func() error
	closed  atomic.Bool
	metrics *metrics
}

// Func does its work in tx and must neither commit nor roll it back, nor keep
// it. It may be run again after a conflict with another transaction, so apart
// from tx it should have no effects; AfterCommit is for those.
type Func func(ctx context.Context, tx *sql.Tx) error

// Open opens the database, makes it where it is missing, and applies
// migrations: the *.sql files at the root of the given file system, for goose.
// Those that end with _postgresql.sql are for that engine alone.
func Open(ctx context.Context, cfg Config, migrations fs.FS) (*DB, error) {
	cfg = cfg.withDefaults()
	db, err := open(ctx, cfg, migrations)
	if err != nil {
		return nil, fmt.Errorf("open database of %s: %w", cfg.Service, err)
	}
	return db, nil
}

func open(ctx context.Context, cfg Config, migrations fs.FS) (*DB, error) {
	if cfg.Service == "" {
		return nil, errors.New("config has no service")
	}
	measured, err := newMetrics(cfg)
	if err != nil {
		return nil, err
	}
	var db *DB
	if cfg.URL != "" {
		db, err = openPostgres(ctx, cfg, measured, migrations)
	} else {
		db, err = openSQLite(ctx, cfg, measured, migrations)
	}
	if err != nil {
		measured.unregister()
		return nil, err
	}
	return db, nil
}

func (c Config) withDefaults() Config {
	if c.Schema == "" {
		c.Schema = c.Service
	}
	if c.QueueLimit == 0 {
		c.QueueLimit = 1024
	}
	if c.BatchLimit == 0 {
		c.BatchLimit = 256
	}
	if c.Retries == 0 {
		c.Retries = 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// Dialect tells which engine it is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Read is a pool of connections for queries outside a transaction. On SQLite
// they cannot write. They see every Write that has returned.
func (db *DB) Read() *sql.DB { return db.read }

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.read.PingContext(ctx) }

// Write runs fn in a serializable transaction and returns after its commit. An
// error or panic of fn undoes what fn did, and only that. If ctx ends before
// fn runs, Write returns its error and fn never runs; after that fn is not
// cut, its context does not end, and Write tells what came of it.
func (db *DB) Write(ctx context.Context, fn Func) error { return db.transact(ctx, fn, db.run) }

// WriteAlone is Write for a function that does much: on SQLite it shares its
// commit with no other, which spares a copy of each page that it changes.
func (db *DB) WriteAlone(ctx context.Context, fn Func) error {
	if db.alone == nil {
		return db.Write(ctx, fn)
	}
	return db.transact(ctx, fn, db.alone)
}

// Prepare prepares a statement for the transactions of Write, by
// (*sql.Tx).StmtContext. Not within one: on SQLite it waits for its end.
func (db *DB) Prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	return db.write.PrepareContext(ctx, query)
}

func (db *DB) transact(ctx context.Context, fn Func, run func(ctx context.Context, fn Func) error) error {
	if ctx.Value(insideKey{db}) != nil {
		return ErrNested
	}
	if db.closed.Load() {
		return ErrClosed
	}
	hooks := new(hooks)
	inside := context.WithValue(context.WithoutCancel(ctx), insideKey{db}, true)
	inside = context.WithValue(inside, hooksKey{}, hooks)
	err := run(ctx, func(_ context.Context, tx *sql.Tx) error {
		hooks.reset()
		return fn(inside, tx)
	})
	if err != nil {
		return err
	}
	hooks.run()
	return nil
}

// insideKey marks the context of a function that db runs.
type insideKey struct{ db *DB }

// Close waits for the writes that were accepted and closes all connections.
func (db *DB) Close() error {
	db.closed.Store(true)
	err := errors.Join(db.stop(), db.write.Close())
	if db.read != db.write {
		err = errors.Join(err, db.read.Close())
	}
	db.metrics.unregister()
	return err
}
