package mq

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

// unmarked are the rows of the outbox that are not marked as sent, at most 1024.
func unmarked(t *testing.T, db *database.DB) []kitdb.ListUnsentRow {
	t.Helper()
	rows, err := kitdb.New(db.Read()).ListUnsent(t.Context(), 1024)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// tell adds so many facts and returns their ids.
func tell(t *testing.T, db *database.DB, n int) (ids []string) {
	t.Helper()
	outbox := NewOutbox(OutboxConfig{Service: "test", DB: db})
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for i := range n {
			envelope, err := NewEnvelope("main", "backlot.test.counted.v1", fmt.Sprint(i), wrapperspb.Int64(1))
			if err != nil {
				return err
			}
			if err := outbox.Add(ctx, tx, envelope); err != nil {
				return err
			}
			ids = append(ids, envelope.GetId())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestMarksWaitForEachOtherOnSQLite(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		ids := tell(t, db, marksMost+2)
		m := newMarks(NewOutbox(OutboxConfig{Service: "test", DB: db}))
		want := func(step string, left, wait int) {
			t.Helper()
			if db.Dialect() == database.PostgreSQL {
				wait = 0
			}
			if got := len(unmarked(t, db)); got != left+wait || len(m.ids) != wait {
				t.Errorf("%s: %d unmarked and %d that wait, want %d and %d", step, got, len(m.ids), left+wait, wait)
			}
			if got := len(m.missing(unmarked(t, db))); got != left {
				t.Errorf("%s: %d to send, want %d", step, got, left)
			}
		}
		add := func(ids ...string) {
			t.Helper()
			if err := m.add(t.Context(), ids); err != nil {
				t.Fatal(err)
			}
		}
		want("none sent", len(ids), 0)
		add(ids[0])
		want("one sent", len(ids)-1, 1)
		add(ids[1:marksMost]...)
		want("as many as may wait", 2, 0)
		add(ids[marksMost])
		if db.Dialect() == database.SQLite {
			<-m.due.C
		}
		if err := m.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("their time is over", 1, 0)
		add(ids[marksMost+1])
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		m.end(ended)
		want("the end", 0, 0)
	})
}

func TestWhatIsToBeSentOnceMoreIsNotMarked(t *testing.T) {
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "kit"), Migrations())
	ids := tell(t, db, 3)
	m := newMarks(NewOutbox(OutboxConfig{Service: "test", DB: db}))
	if err := m.add(t.Context(), ids[:2]); err != nil {
		t.Fatal(err)
	}
	m.forget()
	if err := m.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(m.missing(unmarked(t, db))); got != 3 {
		t.Errorf("%d to send, want 3", got)
	}
}
