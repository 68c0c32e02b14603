package database_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
)

// Pages are moved beside commits, and the log begins anew while writes go on.
func TestTheLogIsMovedWhileWritesGoOn(t *testing.T) {
	cfg := databasetest.Config(t, database.SQLite, "notes")
	registry := prometheus.NewRegistry()
	cfg.Registerer = registry
	db := databasetest.Open(t, cfg, migrations())
	const writes, most = 160, 76 << 20 // bytes of log; each write is half a megabyte
	id := make([]byte, 1<<18)          // which is in an index too
	for i := range writes {
		id[0] = byte(i)
		err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO notes (id, n) VALUES ($1, 1)", id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Stat(filepath.Join(cfg.DataDir, "notes.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	if log.Size() > most {
		t.Errorf("a log of %d MB after %d MB", log.Size()>>20, writes/2)
	}
	if _, moves := gauge(t, registry, "backlot_notes_database_checkpoint_seconds"); moves == 0 {
		t.Error("nothing was moved beside commits")
	}
	if n := count(t, db); n != writes {
		t.Errorf("%d rows of %d", n, writes)
	}
}
