// Package intake receives files by the tus protocol (resumable uploads 1.0.0)
// over tusd, into one folder.
//
//   - intake.go decides who may do what; hook.go answers tusd's questions
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
	if r.Method != http.MethodOptions {
		if err := in.permit(r); err != nil {
			in.refuse(w, r, err)
			return
		}
	}
	in.tus.ServeHTTP(relative{w}, r)
}

// permit decides whether the caller may make r. It looks at the path and not
// at the method, which tusd lets a header override.
func (in *Intake) permit(r *http.Request) error {
	caller, _ := identity.From(r.Context())
	switch caller.Kind {
	case identity.Creator:
	case identity.Anonymous, 0:
		return refusal("ERR_UNAUTHENTICATED", "sign in as a creator to upload", http.StatusUnauthorized)
	default:
		return refusal("ERR_FORBIDDEN", "only creators may upload", http.StatusForbidden)
	}
	id := strings.Trim(strings.TrimPrefix(r.URL.Path, BasePath), "/")
	if id == "" {
		return in.permitSize(r.Header.Get("Upload-Length"))
	}
	u, err := in.store.Upload(r.Context(), id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (u.TenantID != caller.TenantID || u.CreatorID != caller.ID):
		return refusal("ERR_UPLOAD_NOT_FOUND", "upload is not known", http.StatusNotFound)
	case err != nil:
		return err
	case u.State == upload.Discarded:
		return refusal("ERR_UPLOAD_DISCARDED", u.Problem, http.StatusGone)
	case u.State == upload.Receiving && in.Received(u) == u.Size:
		// All bytes came, but the process died before it could make the job.
		_, err := in.finish(r.Context(), u.ID)
		return err
	}
	return nil
}

func (in *Intake) permitSize(length string) error {
	if n, err := strconv.ParseInt(length, 10, 64); err == nil && n > in.cfg.MaxBytes {
		return fmt.Errorf("%w: %d bytes, the limit is %d", upload.ErrTooLarge, n, in.cfg.MaxBytes)
	}
	return nil
}

// refuse answers with an error in tus's form.
func (in *Intake) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := in.answer(r.Context(), err)
	w.Header().Set("Tus-Resumable", "1.0.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	for key, value := range e.HTTPResponse.Header {
		w.Header().Set(key, value)
	}
	w.WriteHeader(e.HTTPResponse.StatusCode)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, e.HTTPResponse.Body)
	}
}

func refusal(code, message string, status int) handler.Error {
	return handler.NewError(code, message, status)
}

// answer turns an error into what a client is told, and counts it.
func (in *Intake) answer(ctx context.Context, err error) handler.Error {
	var e handler.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, upload.ErrInvalid):
		e = refusal("ERR_INVALID_UPLOAD", err.Error(), http.StatusBadRequest)
	case errors.Is(err, upload.ErrTooLarge):
		e = refusal("ERR_MAX_SIZE_EXCEEDED", err.Error(), http.StatusRequestEntityTooLarge)
	case errors.Is(err, upload.ErrTransition):
		e = refusal("ERR_UPLOAD_STATE", err.Error(), http.StatusConflict)
	case errors.Is(err, ErrVideo):
		e = refusal("ERR_VIDEO_NOT_FOUND", err.Error(), http.StatusNotFound)
	case errors.Is(err, store.ErrBusy), errors.Is(err, ErrUnavailable):
		e = refusal("ERR_BUSY", err.Error(), http.StatusServiceUnavailable)
		e.HTTPResponse.Header["Retry-After"] = "10"
	default:
		in.cfg.Log.ErrorContext(ctx, "upload request failed", "err", err)
		e = refusal("ERR_INTERNAL", "internal error", http.StatusInternalServerError)
	}
	in.metrics.refused.WithLabelValues(strings.ToLower(strings.TrimPrefix(e.ErrorCode, "ERR_"))).Inc()
	return e
}

// relative makes Location relative to this server: behind a gateway tusd knows
// neither scheme nor host of the public address.
type relative struct{ http.ResponseWriter }

func (w relative) WriteHeader(status int) {
	if location := w.Header().Get("Location"); location != "" {
		if i := strings.Index(location, BasePath); i > 0 {
			w.Header().Set("Location", location[i:])
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap serves http.ResponseController.
func (w relative) Unwrap() http.ResponseWriter { return w.ResponseWriter }
