// Package intake receives files by the tus protocol (resumable uploads 1.0.0)
// over tusd, into one folder.
//
//   - intake.go decides who may do what; answer.go says why not; hook.go answers tusd's questions
//     about new, finished and deleted uploads; disk.go stores bytes; sweep.go
//     finishes and discards what a client or a dead process left behind.
//
// Only a creator may upload, and only the creator who began an upload sees it.
// It neither looks into files nor runs jobs. One Intake serves any number of
// requests at once; one folder belongs to one Intake.
package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	expslog "golang.org/x/exp/slog"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/store"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
)

// BasePath is where to serve an Intake.
const BasePath = "/uploads/"

// Store keeps uploads; *store.Store is one.
type Store interface {
	Admit(ctx context.Context, tenant, creator string) error
	CreateUpload(ctx context.Context, u upload.Upload) error
	Upload(ctx context.Context, id string) (upload.Upload, error)
	FinishUpload(ctx context.Context, id string) (job.Job, error)
	DiscardUpload(ctx context.Context, id, problem string) error
	Receiving(ctx context.Context, after string, n int64) ([]upload.Upload, error)
}

// Config of an Intake. All fields but Video must be set.
type Config struct {
	Dir      string // for files; made if missing
	MaxBytes int64  // of one file
	// Expiry is how long an upload may rest before it is discarded.
	Expiry time.Duration
	// Ready tells why no file can be taken now, nil if one can.
	Ready func() error
	// Video refuses a video that the creator may not upload for, with ErrVideo
	// or ErrUnavailable. nil: any video.
	Video func(ctx context.Context, creator identity.Principal, videoID string) error
	// Finished is told of each job made; of one perhaps more than once.
	Finished   func(j job.Job)
	Clock      func() time.Time
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// What Config.Video answers with.
var (
	// ErrVideo is a video that the caller may not upload for.
	ErrVideo = errors.New("video is not known, or not yours")
	// ErrUnavailable means that nobody can say now.
	ErrUnavailable = errors.New("the catalogue does not answer; try again")
)

// Intake is an http.Handler for BasePath.
type Intake struct {
	cfg     Config
	store   Store
	files   filestore.FileStore
	tus     http.Handler
	metrics metrics
}

// New makes an intake.
func New(s Store, cfg Config) (*Intake, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder for uploads: %w", err)
	}
	in := &Intake{cfg: cfg, store: s, files: filestore.New(cfg.Dir), metrics: newMetrics(cfg.Registerer)}
	disk := disk{FileStore: in.files, log: cfg.Log, received: in.metrics.received}
	composer := handler.NewStoreComposer()
	composer.UseCore(disk)
	composer.UseTerminater(disk)
	composer.UseLocker(memorylocker.New())
	tus, err := handler.NewHandler(handler.Config{
		StoreComposer: composer, BasePath: BasePath, MaxSize: cfg.MaxBytes, DisableDownload: true,
		// The gateway answers for other origins.
		Cors:                       &handler.CorsConfig{Disable: true},
		Logger:                     expslog.New(expslog.NewTextHandler(io.Discard, nil)),
		PreUploadCreateCallback:    in.created,
		PreFinishResponseCallback:  in.finished,
		PreUploadTerminateCallback: in.terminated,
	})
	if err != nil {
		return nil, fmt.Errorf("tus handler: %w", err)
	}
	in.tus = http.StripPrefix(BasePath, tus)
	return in, nil
}

// ServeHTTP serves the tus protocol to the principal of r's context.
func (in *Intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// tusd sets deadlines on the connection, which others use after us.
	control := http.NewResponseController(w)
	defer func() {
		_ = control.SetReadDeadline(time.Time{})
		_ = control.SetWriteDeadline(time.Time{})
	}()
	if r.Method == http.MethodOptions {
		in.tus.ServeHTTP(w, r)
		return
	}
	u, err := in.permit(r)
	switch {
	case err != nil:
		in.refuse(w, r, err)
	case u.State == upload.Finished:
		in.serveFinished(w, r, u)
	default:
		in.tus.ServeHTTP(relative{w}, r)
	}
}

// permit decides whether the caller may make r, and returns the upload that it
// is about, if any. It looks at the path and not at the method, which tusd
// lets a header override.
func (in *Intake) permit(r *http.Request) (u upload.Upload, err error) {
	caller, _ := identity.From(r.Context())
	switch caller.Kind {
	case identity.Creator:
	case identity.Anonymous, 0:
		return u, refusal("ERR_UNAUTHENTICATED", "sign in as a creator to upload", http.StatusUnauthorized)
	default:
		return u, refusal("ERR_FORBIDDEN", "only creators may upload", http.StatusForbidden)
	}
	id := strings.Trim(strings.TrimPrefix(r.URL.Path, BasePath), "/")
	if id == "" {
		return u, in.permitSize(r.Header.Get("Upload-Length"))
	}
	u, err = in.store.Upload(r.Context(), id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (u.TenantID != caller.TenantID || u.CreatorID != caller.ID):
		return u, refusal("ERR_UPLOAD_NOT_FOUND", "upload is not known", http.StatusNotFound)
	case err != nil:
		return u, err
	case u.State == upload.Discarded:
		return u, refusal("ERR_UPLOAD_DISCARDED", u.Problem, http.StatusGone)
	case u.State == upload.Receiving && in.Received(u) == u.Size:
		// All bytes came, but the process died before it could make the job.
		j, err := in.finish(r.Context(), u.ID)
		u.State, u.JobID = upload.Finished, j.ID
		return u, err
	}
	return u, nil
}

// serveFinished answers a client that did not hear that its upload is whole.
// The file may be gone by now.
func (in *Intake) serveFinished(w http.ResponseWriter, r *http.Request, u upload.Upload) {
	method := r.Method
	if override := r.Header.Get("X-HTTP-Method-Override"); method == http.MethodPost && override != "" {
		method = override
	}
	size := strconv.FormatInt(u.Size, 10)
	status := http.StatusOK
	switch method {
	case http.MethodHead:
		w.Header().Set("Upload-Length", size)
		w.Header().Set("Cache-Control", "no-store")
	case http.MethodPatch:
		if r.Header.Get("Upload-Offset") != size {
			in.refuse(w, r, handler.ErrMismatchOffset)
			return
		}
		status = http.StatusNoContent
	default:
		in.refuse(w, r, fmt.Errorf("%w: it is finished", upload.ErrTransition))
		return
	}
	w.Header().Set("Tus-Resumable", "1.0.0")
	w.Header().Set("Upload-Offset", size)
	w.Header().Set(JobHeader, u.JobID)
	w.WriteHeader(status)
}

func (in *Intake) permitSize(length string) error {
	if n, err := strconv.ParseInt(length, 10, 64); err == nil && n > in.cfg.MaxBytes {
		return fmt.Errorf("%w: %d bytes, the limit is %d", upload.ErrTooLarge, n, in.cfg.MaxBytes)
	}
	return nil
}
