package database

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

// migrate applies what is missing. The kit's tables and a service's own are
// numbered apart, so a lower number may come later. One whose name ends with
// _postgresql.sql is not for SQLite, one with _sqlite.sql is for nothing else.
func migrate(ctx context.Context, cfg Config, db *sql.DB, dialect Dialect, migrations fs.FS) error {
	dialects := map[Dialect]goose.Dialect{SQLite: goose.DialectSQLite3, PostgreSQL: goose.DialectPostgres}
	others, err := ofOthers(dialect, migrations)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(dialects[dialect], db, migrations, goose.WithExcludeNames(others),
		goose.WithAllowOutofOrder(true), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	current, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > newest {
		return fmt.Errorf("%w: it has migration %d, this program knows %d; upgrade this program", ErrNewer, current, newest)
	}
	applied, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if len(applied) > 0 {
		cfg.Log.LogAttrs(ctx, slog.LevelInfo, "database migrated", slog.String("service", cfg.Service),
			slog.String("engine", string(dialect)), slog.Int64("from", current), slog.Int64("to", newest))
	}
	return nil
}

// ofOthers are the migrations that an engine has no need of.
func ofOthers(dialect Dialect, migrations fs.FS) ([]string, error) {
	other := PostgreSQL
	if dialect == PostgreSQL {
		other = SQLite
	}
	return fs.Glob(migrations, "*_"+string(other)+".sql")
}
