package mq

import (
	"context"
	"slices"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

const (
	// marksMost and marksAge are how many facts, and from the first of them how
	// long, wait to be marked as sent.
	marksMost = markLimit
	marksAge  = 25 * time.Millisecond
	// marksLast is how long the last marks may take.
	marksLast = time.Second
)

// marks are rows whose facts the broker has and that are not marked yet. On SQLite a
// mark is a commit that all other writes wait for: with one for each batch of a busy
// service, every second of its commits was a mark. Facts are published at once all
// the same. What a dead process has not marked is published once more when the next
// one starts, as is what it has marked: the broker drops it by its id. On PostgreSQL,
// where another process may take over, nothing waits.
type marks struct {
	outbox *Outbox
	ids    []string
	due    *time.Timer         // stopped while there are none
	partly map[string]struct{} // ids of facts that the broker has, of rows that it has not wholly
}

func newMarks(o *Outbox) *marks {
	m := &marks{outbox: o, due: time.NewTimer(marksAge), partly: map[string]struct{}{}}
	m.due.Stop()
	return m
}

// missing are those rows that are not sent yet.
func (m *marks) missing(rows []kitdb.ListUnsentRow) []kitdb.ListUnsentRow {
	if len(m.ids) == 0 {
		return rows
	}
	return slices.DeleteFunc(rows, func(row kitdb.ListUnsentRow) bool { return slices.Contains(m.ids, row.ID) })
}

// add takes in what was sent, and marks all where it is time to.
func (m *marks) add(ctx context.Context, sent []string) error {
	if len(m.ids) == 0 && len(sent) > 0 {
		m.due.Reset(marksAge)
	}
	m.ids = append(m.ids, sent...)
	if len(m.ids) < marksMost && m.outbox.cfg.DB.Dialect() == database.SQLite {
		return nil
	}
	return m.flush(ctx)
}

// flush marks all. Where that fails they are sent once more, and the broker drops them.
func (m *marks) flush(ctx context.Context) error {
	if len(m.ids) == 0 {
		return nil
	}
	err := m.outbox.mark(ctx, m.ids)
	m.due.Stop()
	m.ids = m.ids[:0]
	return err
}

// forget is for what is to be sent once more.
func (m *marks) forget() {
	m.due.Stop()
	m.ids = m.ids[:0]
	clear(m.partly)
}

// end marks what is left when ctx has ended.
func (m *marks) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), marksLast)
	defer cancel()
	_ = m.flush(ctx) // it is marked after the next start
	m.due.Stop()
}
