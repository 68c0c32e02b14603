package rpc

import (
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"
)

// headerRetryAfter tells HTTP's clients when to try again, in whole seconds.
const headerRetryAfter = "Retry-After"

// RetryLater is an error with the time after which to try again: a RetryInfo
// among its details on every transport, and over HTTP the header Retry-After,
// rounded up. ResourceExhausted with it is 503 over HTTP, not 429: it is the
// service that is busy, and not the caller who asks too often.
func RetryLater(code connect.Code, err error, after time.Duration) *connect.Error {
	coded := connect.NewError(code, err)
	if detail, err := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); err == nil {
		coded.AddDetail(detail)
	}
	return coded
}

// RetryAfter is when an error says to try again, false where it does not.
func RetryAfter(err *connect.Error) (after time.Duration, told bool) {
	for _, detail := range err.Details() {
		if detail.Type() != "google.rpc.RetryInfo" {
			continue
		}
		value, err := detail.Value()
		if info, ok := value.(*errdetails.RetryInfo); err == nil && ok {
			return info.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}

// tellRetry adds the header to an error that is to leave by HTTP.
func tellRetry(err error) error {
	coded, ok := err.(*connect.Error) //nolint:errorlint // as the chain returns it
	if !ok {
		return err
	}
	if after, told := RetryAfter(coded); told {
		seconds := (after + time.Second - 1) / time.Second
		coded.Meta().Set(headerRetryAfter, strconv.Itoa(int(max(seconds, 1))))
	}
	return coded
}

// busyWriter writes 503 for 429 where the caller is told when to try again.
type busyWriter struct{ http.ResponseWriter }

func (w busyWriter) WriteHeader(status int) {
	if status == http.StatusTooManyRequests && w.Header().Get(headerRetryAfter) != "" {
		status = http.StatusServiceUnavailable
	}
	w.ResponseWriter.WriteHeader(status)
}

// Flush implements http.Flusher.
func (w busyWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap serves http.ResponseController.
func (w busyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func sayBusy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(busyWriter{w}, r) })
}
