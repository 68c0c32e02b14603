package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	_ "modernc.org/sqlite" // the driver
)

// Caches, in KB. The writer's is small: what commits change stays near the
// processor, and SQLite looks through all of it at a commit that has split pages out
// of their order. A transaction that changes more keeps it in memory all the same, up
// to spillPages.
const (
	readCache  = 32 << 10
	writeCache = 4 << 10
	spillPages = 8192
)

func openSQLite(ctx context.Context, cfg Config, measured *metrics, migrations fs.FS) (*DB, error) {
	if cfg.DataDir == "" {
		return nil, errors.New("config has neither a data folder nor a URL")
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(filepath.Join(cfg.DataDir, cfg.Service+".db"))
	if err != nil {
		return nil, err
	}
	write, err := openFile(path, 1, writeCache, "_txlock", "immediate")
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, cfg, write, SQLite, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), write.Close())
	}
	read, err := openFile(path, max(4, runtime.GOMAXPROCS(0)), readCache, "_pragma", "query_only(1)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	checkpoints, err := startCheckpointer(path, measured)
	if err != nil {
		return nil, errors.Join(err, write.Close(), read.Close())
	}
	writer := startWriter(cfg, write, measured, checkpoints.committed)
	return &DB{
		dialect: SQLite, read: read, write: write, run: writer.do, alone: writer.doAlone,
		stop:    func() error { writer.stop(); return checkpoints.stop() },
		metrics: measured,
	}, nil
}

// openFile opens a pool of at most size connections that stay open, each with a
// cache of so many KB.
func openFile(path string, size, cache int, option, value string) (*sql.DB, error) {
	query := url.Values{"_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"journal_size_limit(134217728)", "temp_store(MEMORY)",
		fmt.Sprintf("cache_size(-%d)", cache), fmt.Sprintf("cache_spill(%d)", spillPages),
		fmt.Sprintf("wal_autocheckpoint(%d)", mostPages),
	}}
	query.Add(option, value)
	source := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}
