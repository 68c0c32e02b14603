package intake

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/backlot-video/backlot/services/transcoder/internal/store"
	"github.com/backlot-video/backlot/services/transcoder/internal/upload"
)

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

// WriteHeader implements http.ResponseWriter.
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
