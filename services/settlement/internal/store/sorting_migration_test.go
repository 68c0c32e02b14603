package store

import (
	"context"
	"database/sql"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	backlotsql "github.com/backlot-video/backlot/sql"
)

// TestLedgerThatIsBeingSortedIsMigrated takes a ledger back to what it was before
// its moves were sorted some at a time, at each step of that, and on again.
func TestLedgerThatIsBeingSortedIsMigrated(t *testing.T) {
	text, err := fs.ReadFile(backlotsql.Migrations("settlement"), "00119_sorting.sql")
	if err != nil {
		t.Fatal(err)
	}
	up, down, _ := strings.Cut(string(text), "-- +goose Down")
	for _, dialect := range []database.Dialect{database.SQLite, database.PostgreSQL} {
		t.Run(string(dialect), func(t *testing.T) {
			cfg := databasetest.Config(t, dialect, "settlement")
			s := &sortedLedger{t: t, random: rand.New(rand.NewPCG(7, 1)), booked: map[string][]move{}}
			for round, reached := range []func(p progress) bool{
				func(p progress) bool { return p.sortingTo == 0 },
				func(p progress) bool { return p.sortingTo > 0 && p.account == 0 },
				func(p progress) bool { return p.account > 0 },
				func(p progress) bool { return p.sortingTo > 0 && p.written() },
				func(p progress) bool { return p.sortingTo == 0 && p.sortedTo > 0 },
			} {
				db, err := database.Open(t.Context(), cfg, backlotsql.Migrations("settlement"))
				if err != nil {
					t.Fatal(err)
				}
				s.db, s.reader, s.writers = db, store(db), [2]*Store{store(db), store(db)}
				if round == 0 {
					s.open()
				}
				s.batch(s.writers[0], false)
				for batches := 0; !reached(s.progress); batches++ {
					if batches > 100 {
						t.Fatalf("after %d batches %+v", batches, s.progress)
					}
					s.batch(s.writers[0], false)
				}
				s.same()
				s.forget()
				for statement := range strings.SplitSeq(strings.TrimSpace(down+up), ";\n") {
					err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
						_, err := tx.ExecContext(ctx, statement)
						return err
					})
					if err != nil {
						t.Fatalf("%s: %v", statement, err)
					}
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
