package intake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/backlot-video/backlot/services/transcoder/internal/store"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
)

const (
	sweepPage = 100
	// settle is how long the request that creates an upload may take between
	// noting it and making its file.
	settle = time.Minute
)

// Path is the file of an upload.
func (in *Intake) Path(id string) string { return filepath.Join(in.cfg.Dir, id) }

// Remove deletes an upload's file, if it is there.
func (in *Intake) Remove(id string) error {
	var faults []error
	for _, path := range []string{in.Path(id), in.Path(id) + ".info"} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// Received returns how many bytes of u have come; 0 for one of another node.
func (in *Intake) Received(u upload.Upload) int64 {
	if u.State != upload.Receiving {
		return u.Size
	}
	info, err := os.Stat(in.Path(u.ID))
	if err != nil {
		return 0
	}
	return info.Size()
}

// Recover sees to what an earlier process left: call it before serving. It
// finishes uploads whose bytes are all there, discards those whose file was
// never made, and deletes files that nobody needs.
func (in *Intake) Recover(ctx context.Context) error {
	if err := in.sweep(ctx, 0); err != nil {
		return err
	}
	entries, err := os.ReadDir(in.cfg.Dir)
	if err != nil {
		return fmt.Errorf("list uploads: %w", err)
	}
	for _, entry := range entries {
		id, _ := strings.CutSuffix(entry.Name(), ".info")
		u, err := in.store.Upload(ctx, id)
		unneeded := errors.Is(err, store.ErrNotFound) || err == nil && u.State == upload.Discarded
		if err != nil && !unneeded {
			return err
		}
		if unneeded {
			if err := in.Remove(id); err != nil {
				return fmt.Errorf("delete upload: %w", err)
			}
		}
	}
	return nil
}

// Sweep discards uploads that have rested for too long, and finishes those
// whose last request ended between their bytes and their job.
func (in *Intake) Sweep(ctx context.Context) error { return in.sweep(ctx, settle) }

func (in *Intake) sweep(ctx context.Context, settle time.Duration) error {
	after := ""
	for {
		page, err := in.store.Receiving(ctx, after, sweepPage)
		if err != nil {
			return err
		}
		var faults []error
		for _, u := range page {
			if err := in.sweepOne(ctx, u, settle); err != nil {
				faults = append(faults, fmt.Errorf("upload %s: %w", u.ID, err))
			}
			after = u.ID
		}
		if len(page) < sweepPage || len(faults) > 0 {
			return errors.Join(faults...)
		}
	}
}

func (in *Intake) sweepOne(ctx context.Context, u upload.Upload, settle time.Duration) error {
	now := in.cfg.Clock()
	file, err := os.Stat(in.Path(u.ID))
	_, noteErr := os.Stat(in.Path(u.ID) + ".info")
	switch {
	case errors.Is(errors.Join(err, noteErr), os.ErrNotExist):
		if now.Sub(u.Created) < settle {
			return nil
		}
		return in.discard(ctx, u.ID, "the upload was interrupted before it began")
	case err != nil || noteErr != nil:
		return errors.Join(err, noteErr)
	case file.Size() == u.Size:
		_, err := in.finish(ctx, u.ID)
		return err
	case now.Sub(file.ModTime()) > in.cfg.Expiry:
		in.metrics.uploads.WithLabelValues("expired").Inc()
		return in.discard(ctx, u.ID, fmt.Sprintf("the upload expired: nothing came for %s", in.cfg.Expiry))
	}
	return nil
}

func (in *Intake) discard(ctx context.Context, id, problem string) error {
	in.cfg.Log.InfoContext(ctx, "upload discarded", "upload_id", id, "problem", problem)
	return errors.Join(in.store.DiscardUpload(ctx, id, problem), in.Remove(id))
}
