package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// PostgreSQL's codes of conflicts that end by trying again.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
)

// PostgreSQL's codes of statements that name what is not there.
const (
	undefinedColumn = "42703"
	undefinedTable  = "42P01"
)

const poolLimit = 32

func openPostgres(ctx context.Context, cfg Config, measured *metrics, migrations fs.FS) (*DB, error) {
	options, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, err // it hides the password
	}
	parameters := options.RuntimeParams
	parameters["search_path"] = pgx.Identifier{cfg.Schema}.Sanitize()
	setDefault(parameters, "application_name", "backlot-"+cfg.Service)
	// A migration may take long, as may waiting for another replica's.
	patient := stdlib.OpenDB(*options.Copy())
	err = errors.Join(migrateSchema(ctx, cfg, patient, migrations), patient.Close())
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", cfg.Schema, err)
	}
	setDefault(parameters, "statement_timeout", "30s")
	setDefault(parameters, "idle_in_transaction_session_timeout", "60s")
	db := stdlib.OpenDB(*options)
	db.SetMaxOpenConns(poolLimit)
	db.SetMaxIdleConns(poolLimit)
	db.SetConnMaxIdleTime(5 * time.Minute)
	p := &postgres{db: db, retries: cfg.Retries, metrics: measured}
	return &DB{dialect: PostgreSQL, read: db, write: db, run: p.do, stop: func() error { return nil }, metrics: measured}, nil
}

func setDefault(parameters map[string]string, name, value string) {
	if _, set := parameters[name]; !set {
		parameters[name] = value
	}
}

// migrateSchema makes and migrates the schema while no other replica does.
func migrateSchema(ctx context.Context, cfg Config, db *sql.DB, migrations fs.FS) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	const lock = "SELECT pg_advisory_lock(hashtextextended('backlot/' || $1, 0))"
	const unlock = "SELECT pg_advisory_unlock(hashtextextended('backlot/' || $1, 0))"
	if _, err := conn.ExecContext(ctx, lock, cfg.Schema); err != nil {
		return err
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), unlock, cfg.Schema) }()
	if _, err := conn.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{cfg.Schema}.Sanitize()); err != nil {
		return err
	}
	return migrate(ctx, cfg, db, PostgreSQL, migrations)
}

// postgres runs one transaction per function.
type postgres struct {
	db      *sql.DB
	retries int
	metrics *metrics
}

func (p *postgres) do(ctx context.Context, fn Func) error {
	for attempt := 0; ; attempt++ {
		err := p.once(ctx, fn)
		if err == nil || !conflict(err) || attempt == p.retries {
			return Explain(err)
		}
		p.metrics.retries.Inc()
		// Full jitter: conflicting transactions must not meet again.
		ceiling := min(time.Millisecond<<attempt, 250*time.Millisecond)
		select {
		case <-time.After(rand.N(ceiling)):
		case <-ctx.Done():
			return err
		}
	}
}

func conflict(err error) bool {
	var failure *pgconn.PgError
	if !errors.As(err, &failure) {
		return false
	}
	return failure.Code == serializationFailure || failure.Code == deadlockDetected
}

// Explain makes ErrNewer of an error that says that a table or column is not
// there: Open has made all of them, so a newer release has migrated the database
// while this program ran. Other errors are passed on.
func Explain(err error) error {
	var failure *pgconn.PgError
	if errors.As(err, &failure) && (failure.Code == undefinedColumn || failure.Code == undefinedTable) {
		return fmt.Errorf("%w, which has migrated it while this program ran; upgrade this program, it can do no more here: %w", ErrNewer, err)
	}
	return err
}

func (p *postgres) once(ctx context.Context, fn Func) (err error) {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		if ctx.Err() != nil {
			p.metrics.refused.Inc()
			return context.Cause(ctx)
		}
		return err
	}
	defer conn.Close()
	ctx = context.WithoutCancel(ctx)
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := fn(ctx, tx); err != nil {
		return err
	}
	start := p.metrics.clock()
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	p.metrics.batch.Observe(1)
	p.metrics.commit.Observe(p.metrics.clock().Sub(start).Seconds())
	return nil
}
