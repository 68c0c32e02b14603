package database

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	// logPages is how long SQLite's log grows, in pages of 4 KB, until the writer
	// moves the rest of it to the file, and the log begins anew. A batch of many
	// writes changes about 1,000 pages, one that packs what it has ten times that.
	logPages = 8192
	// mostPages is when a commit moves all by itself, as where moves fail.
	mostPages = 4 * logPages
	// movePages are moved at a time while commits go on. So few are left for the
	// commit that ends the log that it takes little longer than others.
	movePages = 1024
	// firstCommits have their pages moved before it is known how many those are.
	firstCommits = 64
)

// checkpointer moves pages from SQLite's log to the file on a connection of its
// own, which holds up nobody: readers and the writer use the log meanwhile. Left to
// the writer, a commit in every 32 MB of log takes ten to a hundred times as
// long as others. The log begins anew only when all of it is moved, which the
// writer does between two commits once little is left.
type checkpointer struct {
	db      *sql.DB
	metrics *metrics
	commits atomic.Int64 // since the latest move
	due     atomic.Int64 // commits after which it moves
	long    atomic.Bool  // the log is to begin anew
	wake    chan struct{}
	closing chan struct{}
	stopped chan struct{}
	once    sync.Once
}

func startCheckpointer(path string, measured *metrics) (*checkpointer, error) {
	db, err := openFile(path, 1, writeCache, "_pragma", "query_only(1)") // which does not keep it from moving pages
	if err != nil {
		return nil, fmt.Errorf("connect for checkpoints: %w", err)
	}
	c := &checkpointer{
		db: db, metrics: measured,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	c.due.Store(firstCommits)
	go c.loop()
	return c, nil
}

// stop waits for a move that has begun.
func (c *checkpointer) stop() error {
	c.once.Do(func() { close(c.closing) })
	<-c.stopped
	return c.db.Close()
}

// committed tells of a commit. The writer calls it between two of them, with its
// pool.
func (c *checkpointer) committed(writer *sql.DB) {
	if c.commits.Add(1) >= c.due.Load() {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
	if c.long.CompareAndSwap(true, false) {
		_, _, _ = move(writer) // where it cannot, it is asked again after the next move
	}
}

func (c *checkpointer) loop() {
	defer close(c.stopped)
	moved := 0 // pages of the log that are moved
	for {
		select {
		case <-c.closing:
			return
		case <-c.wake:
		}
		commits := c.commits.Swap(0)
		if commits < c.due.Load() {
			c.commits.Add(commits)
			continue
		}
		began := c.metrics.clock()
		logged, pages, err := move(c.db)
		if err != nil {
			continue // a commit does it all
		}
		c.metrics.moved.Observe(c.metrics.clock().Sub(began).Seconds())
		c.long.Store(logged >= logPages)
		if pages < moved { // the log has begun anew
			moved = 0
		}
		each := max(1, int64(pages-moved)/commits)
		c.due.Store(max(1, movePages/each))
		moved = pages
	}
}

// move moves what it may, and returns how many pages the log has and how many
// of them are moved.
func move(db *sql.DB) (logged, moved int, err error) {
	var busy int
	err = db.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &logged, &moved)
	return logged, moved, err
}
