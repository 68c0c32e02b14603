package filter

import (
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/filter/accesslog"
	"github.com/backlot-video/backlot/services/gateway/internal/filter/bucket"
	"github.com/backlot-video/backlot/services/gateway/internal/filter/coding"
)

// Config is what an Env is made of. Keys, Clock, Log and Registerer are
// needed; the rest may be left out.
type Config struct {
	Keys       *identity.Keys // signs principals
	Clock      func() time.Time
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Tracer     trace.Tracer // nil: no traces
	// TraceRatio of the traces begun here that are sampled, as Tracer samples;
	// below 0: tracing is off, and contexts of callers go through as they came.
	TraceRatio float64
	AccessLog  *accesslog.Log // nil: none
	// Transport gives the way to a cluster for calls of the gateway's own
	// (external authorisation), over HTTP/2 as gRPC wants it. What it gives
	// serves under the configuration in force at each call.
	Transport func(cluster string) http.RoundTripper
	// TrustedHops is how many proxies before the gateway are believed in what
	// X-Forwarded-For says; 0: none, what comes is replaced.
	TrustedHops int
	// Quota of limits that hold for all gateways together; nil: none.
	Quota Quota
}

// keptGenerations is for how many configurations what no route asks for any
// more is kept: one that is refused half way must not cost what the one in
// force counts by.
const keptGenerations = 4

// Env is what the chains of all configurations share.
type Env struct {
	config  Config
	metrics *metrics
	none    *series // of exchanges without a route

	mu         sync.Mutex // of what compiling looks up
	last       *edge.Config
	generation uint64
	verified   *tokens
	coders     *coding.Pool
	routes     shelf[*series]
	bearers    shelf[*bearers]
	tables     shelf[*bucket.Table]
}

// NewEnv registers the metrics of filters.
func NewEnv(config Config) *Env {
	e := &Env{config: config, metrics: newMetrics(config.Registerer), coders: coding.NewPool(maxCoders)}
	e.none = e.metrics.series("none")
	e.routes.drop = func(s *series) { e.metrics.forget(s.route) }
	return e
}

// enter begins the compiling of a route. The caller holds mu.
func (e *Env) enter(config *edge.Config) {
	if e.last == config {
		return
	}
	e.last = config
	e.generation++
	e.routes.sweep(e.generation)
	e.bearers.sweep(e.generation)
	e.tables.sweep(e.generation)
	if e.verified == nil || !slices.EqualFunc(e.verified.keys, config.Keys, sameKey) {
		e.verified = newTokens(config.Keys, e)
	}
}

func sameKey(a, b *identityv1.VerificationKey) bool { return proto.Equal(a, b) }

// shelf keeps what has to outlive a configuration, by name.
type shelf[V any] struct {
	items map[string]*item[V]
	drop  func(V) // nil: nothing to do
}

type item[V any] struct {
	value V
	asked uint64 // generation that last asked for it
}

// take finds a thing, or has it made.
func (s *shelf[V]) take(name string, generation uint64, made func() (V, error)) (V, error) {
	if kept, found := s.items[name]; found {
		kept.asked = generation
		return kept.value, nil
	}
	value, err := made()
	if err != nil {
		return value, err
	}
	if s.items == nil {
		s.items = map[string]*item[V]{}
	}
	s.items[name] = &item[V]{value: value, asked: generation}
	return value, nil
}

// sweep drops what the last configurations did not ask for.
func (s *shelf[V]) sweep(generation uint64) {
	for name, kept := range s.items {
		if kept.asked+keptGenerations < generation {
			delete(s.items, name)
			if s.drop != nil {
				s.drop(kept.value)
			}
		}
	}
}
