// Package relay carries requests from the edge to their targets.
//
//	relay.go     Handler: the path of a request, and the swap of a configuration
//	identity.go  who is calling: tokens in, signed principals out
//	upstream.go  clusters and endpoints: choice, bounds, retries
//	proxy.go     one relayed exchange
//	answer.go    what the gateway itself answers
//	record.go    status, bytes and time of each exchange, as metrics
//
// A request keeps the configuration that it began with. Bodies are streamed
// both ways and never held whole.
package relay

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/token"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Media serves an object of a bucket to who has a grant for it.
type Media interface {
	ServeMedia(w http.ResponseWriter, r *http.Request, bucket, object string)
}

// Config is what a Handler needs.
type Config struct {
	Keys       *identity.Keys // signs principals
	Media      Media
	Console    http.Handler // nil: there is none
	TLS        *tls.Config  // of endpoints with TLS
	Tracer     trace.Tracer
	Clock      func() time.Time
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Handler relays by the configuration in force.
type Handler struct {
	config  Config
	metrics *metrics
	current atomic.Pointer[state]

	mu        sync.Mutex // of Swap
	upstreams map[edge.Endpoint]*upstream
}

// state is one configuration in force.
type state struct {
	config   *edge.Config
	verifier *token.Verifier
	clusters map[string]*cluster
}

// NewHandler returns a handler that answers 503 until the first Swap.
func NewHandler(config Config) *Handler {
	return &Handler{config: config, metrics: newMetrics(config.Registerer), upstreams: map[edge.Endpoint]*upstream{}}
}

// Swap puts a checked configuration in force for the requests that follow.
// Connections to endpoints that stay are kept.
func (h *Handler) Swap(config *edge.Config) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := &state{
		config: config, clusters: make(map[string]*cluster, len(config.Clusters)),
		verifier: token.NewVerifier(config.Keys, h.config.Clock),
	}
	upstreams := map[edge.Endpoint]*upstream{}
	for name, c := range config.Clusters {
		built := h.cluster(c)
		for _, u := range built.upstreams {
			upstreams[u.endpoint] = u
		}
		next.clusters[name] = built
	}
	old := h.upstreams
	h.upstreams = upstreams
	h.current.Store(next)
	for endpoint, u := range old {
		if _, kept := upstreams[endpoint]; !kept {
			u.transport.CloseIdleConnections()
		}
	}
}

// Current is the configuration in force, nil before the first.
func (h *Handler) Current() *edge.Config {
	if s := h.current.Load(); s != nil {
		return s.config
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	record := h.metrics.begin(w, h.config.Clock())
	defer record.end(h.config.Clock)
	id := requestID(r)
	r.Header.Set(headerRequestID, id)
	record.Header().Set(headerRequestID, id)

	s := h.current.Load()
	if s == nil || s.config.Empty() {
		refuse(record, http.StatusServiceUnavailable, "unavailable", "the gateway has no routes yet; try again in a moment")
		return
	}
	route, methodKnown := s.config.Match([]byte(r.Host), []byte(r.Method), []byte(r.URL.Path), []byte(r.URL.RawQuery), header(r.Header))
	switch {
	case route == nil && !methodKnown:
		refuse(record, http.StatusMethodNotAllowed, "unimplemented", "method "+r.Method+" is not allowed here")
		return
	case route == nil:
		refuse(record, http.StatusNotFound, "not_found", "no route leads to this path")
		return
	}
	record.route = route.Name
	h.serve(record, r, s, route)
}

// serve authenticates, bounds and hands over to the route's target.
func (h *Handler) serve(w *record, r *http.Request, s *state, route *edge.Route) {
	if strings.Contains(r.URL.Path, "/../") || strings.HasSuffix(r.URL.Path, "/..") {
		refuse(w, http.StatusBadRequest, "invalid_argument", "path must not contain ..")
		return
	}
	principal, err := authenticate(s.verifier, r)
	if err != nil {
		refuse(w, http.StatusUnauthorized, "unauthenticated", err.Error())
		return
	}
	if code, status, text := authorise(route.Policy.Principals, principal); status != 0 {
		refuse(w, status, code, text)
		return
	}
	if r.ContentLength > route.Policy.MaxRequest {
		refuse(w, http.StatusRequestEntityTooLarge, "resource_exhausted", tooLarge(route.Policy.MaxRequest))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, route.Policy.MaxRequest)
	if route.Policy.Timeout > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), route.Policy.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	switch route.Target {
	case edge.ToMedia:
		h.serveMedia(w, r, s, route)
	case edge.ToConsole:
		h.serveConsole(w, r)
	default:
		h.proxy(w, r, s, route, principal) //nolint:contextcheck // the request carries it
	}
}

// serveMedia opens what the signed address grants, nothing else.
func (h *Handler) serveMedia(w *record, r *http.Request, s *state, route *edge.Route) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed, "unimplemented", "media is read by GET and HEAD")
		return
	}
	signed, object, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, route.Path), "/")
	grant, err := s.verifier.Media(signed)
	if err != nil {
		refuse(w, http.StatusForbidden, "permission_denied", "media address: "+err.Error())
		return
	}
	if object == "" {
		refuse(w, http.StatusNotFound, "not_found", "media address names no object")
		return
	}
	h.config.Media.ServeMedia(w, r, route.Bucket, grantedObject(grant, object))
}

// grantedObject keeps an object under the grant's prefix.
func grantedObject(grant *identityv1.MediaGrant, object string) string {
	return grant.GetPrefix() + strings.TrimLeft(object, "/")
}

func (h *Handler) serveConsole(w *record, r *http.Request) {
	if h.config.Console == nil {
		refuse(w, http.StatusNotFound, "not_found", "this gateway has no console")
		return
	}
	h.config.Console.ServeHTTP(w, r)
}

const headerRequestID = "X-Request-Id"

// requestID keeps a sane id of the caller.
func requestID(r *http.Request) string {
	id := r.Header.Get(headerRequestID)
	if len(id) < 8 || len(id) > 64 || strings.ContainsFunc(id, unsafeInID) {
		return uuid.Must(uuid.NewV7()).String()
	}
	return id
}

func unsafeInID(c rune) bool {
	return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_'
}

// header lets routes look at the fields of a request.
type header http.Header

// Find implements edge.Fields.
func (h header) Find(name string) ([]byte, bool) {
	values := http.Header(h).Values(name)
	if len(values) == 0 {
		return nil, false
	}
	return []byte(values[0]), true
}
