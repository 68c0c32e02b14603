package intake

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
)

// disk is tusd's file store with files made durable before they count as
// finished, and errors that tell a client nothing about our folders.
type disk struct {
	filestore.FileStore
	log      *slog.Logger
	received prometheus.Counter
}

type diskUpload struct {
	handler.Upload
	disk disk
	path string
}

// NewUpload implements handler.DataStore.
func (d disk) NewUpload(ctx context.Context, info handler.FileInfo) (handler.Upload, error) {
	u, err := d.FileStore.NewUpload(ctx, info)
	if err != nil {
		return nil, d.hide(ctx, err)
	}
	return diskUpload{u, d, filepath.Join(d.Path, info.ID)}, nil
}

// GetUpload implements handler.DataStore.
func (d disk) GetUpload(ctx context.Context, id string) (handler.Upload, error) {
	u, err := d.FileStore.GetUpload(ctx, id)
	if err != nil {
		return nil, d.hide(ctx, err)
	}
	return diskUpload{u, d, filepath.Join(d.Path, id)}, nil
}

// AsTerminatableUpload implements handler.TerminaterDataStore.
func (d disk) AsTerminatableUpload(u handler.Upload) handler.TerminatableUpload {
	return d.FileStore.AsTerminatableUpload(u.(diskUpload).Upload)
}

// WriteChunk implements handler.Upload.
func (u diskUpload) WriteChunk(ctx context.Context, offset int64, from io.Reader) (int64, error) {
	n, err := u.Upload.WriteChunk(ctx, offset, from)
	u.disk.received.Add(float64(n))
	return n, u.disk.hide(ctx, err)
}

// FinishUpload makes the bytes durable: the client may forget its file after
// our answer.
func (u diskUpload) FinishUpload(ctx context.Context) error {
	f, err := os.OpenFile(u.path, os.O_RDWR, 0)
	if err != nil {
		return u.disk.hide(ctx, err)
	}
	return u.disk.hide(ctx, errors.Join(f.Sync(), f.Close()))
}

func (d disk) hide(ctx context.Context, err error) error {
	var known handler.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC):
		d.log.ErrorContext(ctx, "disk for uploads is full", "err", err)
		return refusal("ERR_DISK_FULL", "no space is left for uploads; try again later", http.StatusInsufficientStorage)
	}
	d.log.ErrorContext(ctx, "upload cannot be stored", "err", err)
	return refusal("ERR_STORAGE", "the upload cannot be stored", http.StatusInternalServerError)
}
