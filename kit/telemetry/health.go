package telemetry

import (
	"context"
	"encoding/json"
	"net/http"
	"sort"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// checkTimeout bounds all readiness checks of one request.
const checkTimeout = 2 * time.Second

// Health knows which parts of a process are ready. The zero value is ready.
type Health struct {
	mu     sync.Mutex
	checks map[string]func(context.Context) error
}

// Set adds or replaces a part's check; nil means ready.
func (h *Health) Set(part string, check func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]func(context.Context) error{}
	}
	h.checks[part] = check
}

// Problems runs every check and returns the error text of those that fail.
func (h *Health) Problems(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	problems := map[string]string{}
	for _, part := range h.parts() {
		h.mu.Lock()
		check := h.checks[part]
		h.mu.Unlock()
		if check == nil {
			continue
		}
		if err := check(ctx); err != nil {
			problems[part] = err.Error()
		}
	}
	return problems
}

func (h *Health) parts() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	parts := make([]string, 0, len(h.checks))
	for part := range h.checks {
		parts = append(parts, part)
	}
	sort.Strings(parts)
	return parts
}

// Handler serves /metrics, /healthz (the process lives) and /readyz (every
// part is ready, else 503 with the parts that are not).
func (h *Health) Handler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metricsHandler(registry))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, report{Status: "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		problems := h.Problems(r.Context())
		if len(problems) > 0 {
			writeJSON(w, http.StatusServiceUnavailable, report{Status: "not ready", Problems: problems})
			return
		}
		writeJSON(w, http.StatusOK, report{Status: "ready", Parts: h.parts()})
	})
	return mux
}

// report is what /healthz and /readyz answer.
type report struct {
	Status   string            `json:"status"`
	Parts    []string          `json:"parts,omitempty"`
	Problems map[string]string `json:"problems,omitempty"`
}

func writeJSON(w http.ResponseWriter, code int, body report) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
