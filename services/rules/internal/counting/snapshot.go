package counting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/backlot-video/backlot/kit/file"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// note is what a snapshot says of the journal.
type note struct {
	Epoch     string `json:"epoch"`     // of the process that wrote it
	Published uint64 `json:"published"` // sequence up to which its own records are in
	Through   uint64 `json:"through"`   // sequence up to which others' are in
	At        int64  `json:"at"`        // Unix seconds
}

// restore reads the snapshot of the process before.
func (c *Counts) restore(path string) error {
	source, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("velocity snapshot: %w", err)
	}
	defer func() { _ = source.Close() }()
	began := time.Now()
	text, marks, err := c.Restore(source)
	var n note
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if errors.Is(err, velocity.ErrSnapshot) {
		c.config.Log.Error("velocity snapshot put aside", "file", path+".bad", "err", err)
		c.metrics.badSnapshots.Inc()
		return os.Rename(path, path+".bad")
	}
	if err != nil {
		return fmt.Errorf("velocity snapshot: %w", err)
	}
	c.restored, c.marks = &n, marks
	c.config.Log.Info("velocity restored", "keys", c.Stats().Keys, "duration", time.Since(began))
	return nil
}

// keepSnapshots writes one at each interval until ctx ends.
func (c *Counts) keepSnapshots(ctx context.Context) {
	for sleep(ctx, c.config.SnapshotInterval) {
		if err := c.saveSnapshot(); err != nil {
			c.metrics.snapshotFailures.Inc()
			c.config.Log.Error("velocity snapshot not written", "err", err)
		}
	}
}

// saveSnapshot writes a snapshot, unless nothing was counted since the last.
func (c *Counts) saveSnapshot() error {
	c.applying.Lock()
	defer c.applying.Unlock()
	if c.config.Open != nil && c.journal.Load() == nil && c.restored != nil {
		// What the journal holds behind the last snapshot is not in the store:
		// that snapshot is still the one to begin with.
		return nil
	}
	position, through := c.recorder.position(), c.through
	if c.config.Open != nil && c.saved == [2]uint64{position, through} {
		return nil
	}
	// What is published by now is in the store.
	published, alone := c.recorder.published()
	n := note{Epoch: c.epoch, Published: published, Through: through, At: c.config.Velocity.Clock().Unix()}
	if alone {
		n.Through = published
	}
	began := time.Now()
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	size := &counter{}
	err = file.ReplaceBy(filepath.Join(c.config.Dir, snapshotName), func(w io.Writer) error {
		return c.Snapshot(io.MultiWriter(w, size), text, func(int) uint64 { return c.recorder.position() })
	})
	if err != nil {
		return fmt.Errorf("velocity snapshot: %w", err)
	}
	c.saved = [2]uint64{position, through}
	c.metrics.snapshotSeconds.Observe(time.Since(began).Seconds())
	c.metrics.snapshotBytes.Set(float64(size.n))
	c.metrics.snapshotAt.Set(float64(n.At))
	return nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
