// Package media serves objects of buckets to players: ranges, validators,
// content types. Files of this machine go from disk to socket in the
// kernel. Who may read what is decided before.
package media

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path"
	"strconv"
	"sync"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// contentTypes are those of what the transcoder makes; others are refused,
// so that nothing else in a bucket can be reached.
var contentTypes = map[string]string{
	".m3u8": "application/vnd.apple.mpegurl",
	".mpd":  "application/dash+xml",
	".m4s":  "video/iso.segment",
	".mp4":  "video/mp4",
	".ts":   "video/mp2t",
	".vtt":  "text/vtt",
	".jpg":  "image/jpeg",
}

// Source opens a bucket; dir is its folder where it lies on this machine.
type Source interface {
	Bucket(ctx context.Context, name string) (*blob.Bucket, error)
	BucketDir(name string) (dir string, local bool)
}

// Server serves media. It is safe for concurrent use.
type Server struct {
	source Source
	log    *slog.Logger

	mu      sync.Mutex
	buckets map[string]*blob.Bucket
}

// New returns a server of the source's buckets.
func New(source Source, log *slog.Logger) *Server {
	return &Server{source: source, log: log, buckets: map[string]*blob.Bucket{}}
}

// ServeMedia answers GET and HEAD for one object.
func (s *Server) ServeMedia(w http.ResponseWriter, r *http.Request, bucket, object string) {
	contentType, known := contentTypes[path.Ext(object)]
	if !known || !fs.ValidPath(object) {
		http.NotFound(w, r)
		return
	}
	var err error
	if dir, local := s.source.BucketDir(bucket); local {
		err = serveFile(w, r, dir, object, contentType)
	} else {
		err = s.serveBlob(w, r, bucket, object, contentType)
	}
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		http.NotFound(w, r)
	default:
		s.log.Error("media cannot be read", "bucket", bucket, "err", err)
		http.Error(w, "media cannot be read now", http.StatusServiceUnavailable)
	}
}

func serveFile(w http.ResponseWriter, r *http.Request, dir, object, contentType string) error {
	file, err := os.OpenInRoot(dir, object)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fs.ErrNotExist
	}
	describe(w, contentType, info.Size(), info.ModTime())
	http.ServeContent(w, r, "", info.ModTime(), file)
	return nil
}

func (s *Server) serveBlob(w http.ResponseWriter, r *http.Request, name, object, contentType string) error {
	bucket, err := s.bucket(r.Context(), name)
	if err != nil {
		return err
	}
	reader, err := bucket.NewReader(r.Context(), object, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fs.ErrNotExist
	}
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	describe(w, contentType, reader.Size(), reader.ModTime())
	http.ServeContent(w, r, "", reader.ModTime(), reader)
	return nil
}

// bucket opens each bucket once; routes name few.
func (s *Server) bucket(ctx context.Context, name string) (*blob.Bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bucket, open := s.buckets[name]; open {
		return bucket, nil
	}
	bucket, err := s.source.Bucket(context.WithoutCancel(ctx), name)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	s.buckets[name] = bucket
	return bucket, nil
}

// describe sets what ServeContent does not know. What a job has published
// never changes; the address, which is the viewer's own, is the secret.
func describe(w http.ResponseWriter, contentType string, size int64, changed time.Time) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "private, max-age=3600")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("ETag", `"`+strconv.FormatInt(changed.UnixNano(), 36)+"-"+strconv.FormatInt(size, 36)+`"`)
}
