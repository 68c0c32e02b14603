package ads

import (
	"log/slog"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a Server can be told.
type Config struct {
	// View names the snapshots that a node is given; nil: all are given those
	// of the view "". It must be quick: it is asked whenever a stream has
	// something to do. Review has all asked where its answers change.
	View func(*corev3.Node) string
	// MaxStreams bounds the clients that are connected; default 20,000.
	MaxStreams int
	// WriteTimeout bounds the writing of one response to a client that reads
	// slowly; default 30 s.
	WriteTimeout time.Duration
	// Log is discarded where nil.
	Log *slog.Logger
	// Registerer receives the metrics; nil means none.
	Registerer prometheus.Registerer
}

// Server gives snapshots to the clients that are connected.
type Server struct {
	config  Config
	metrics *metrics

	mu      sync.Mutex
	views   map[string]*view
	streams int
}

// view is a line of snapshots.
type view struct {
	current *Snapshot
	changed chan struct{} // closed and replaced at every new snapshot
	streams map[*standing]struct{}
	moved   chan struct{} // holds one token after a stream has answered
}

// standing is where a stream is, as its view knows.
type standing struct {
	accepted, refused *Snapshot
	node              *corev3.Node
	last              *Snapshot // that was accepted last
	refusals          []Refusal // of refused
}

// Refusal is a response that a client refused.
type Refusal struct {
	Type      string   // a type URL
	Resources []string // some of those that may be why
	Reason    string
}

// Standing is where a client is.
type Standing struct {
	Node     *corev3.Node
	Accepted *Snapshot // the last one that it took all of; nil: none
	Refused  []Refusal // of the newest one
}

// Standings are all clients', of those with several streams one for each.
func (s *Server) Standings() []Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Standing, 0, s.streams)
	for _, v := range s.views {
		for at := range v.streams {
			all = append(all, Standing{at.node, at.last, at.refusals})
		}
	}
	return all
}

// NewServer returns a server without a snapshot. Its methods are safe for
// concurrent use.
func NewServer(config Config) *Server {
	if config.MaxStreams <= 0 {
		config.MaxStreams = 20_000
	}
	if config.WriteTimeout <= 0 {
		config.WriteTimeout = 30 * time.Second
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{config: config, metrics: newMetrics(config.Registerer), views: make(map[string]*view)}
}

// Publish gives a snapshot to the clients of a view.
func (s *Server) Publish(name string, snapshot *Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view(name)
	v.current = snapshot
	s.metrics.snapshots.Inc()
	close(v.changed)
	v.changed = make(chan struct{})
}

// Standing tells how many clients of a view there are, how many have taken all
// of a snapshot, and how many have refused some of it.
func (s *Server) Standing(name string, snapshot *Snapshot) (clients, accepted, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for standing := range s.view(name).streams {
		clients++
		if standing.accepted == snapshot {
			accepted++
		}
		if standing.refused == snapshot {
			refused++
		}
	}
	return clients, accepted, refused
}

// Moved receives after clients of a view have answered, come or gone. It is
// for one receiver.
func (s *Server) Moved(name string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view(name).moved
}

func (s *Server) view(name string) *view {
	v, found := s.views[name]
	if !found {
		v = &view{changed: make(chan struct{}), streams: make(map[*standing]struct{}), moved: make(chan struct{}, 1)}
		s.views[name] = v
	}
	return v
}

// newest is the snapshot of a view, nil before the first, and a channel that
// is closed when there is a newer one.
func (s *Server) newest(v *view) (*Snapshot, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return v.current, v.changed
}

// enter counts a client in; false where there are too many.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams >= s.config.MaxStreams {
		return false
	}
	s.streams++
	s.metrics.streams.Inc()
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams--
	s.metrics.streams.Dec()
}

// join lets a view know of a stream.
func (s *Server) join(node *corev3.Node) (*view, *standing) {
	name := ""
	if s.config.View != nil {
		name = s.config.View(node)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, at := s.view(name), &standing{node: node}
	v.streams[at] = struct{}{}
	v.move()
	return v, at
}

// Review lets every client go over to the view that is its now.
func (s *Server) Review() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.views {
		close(v.changed)
		v.changed = make(chan struct{})
	}
}

// review is the view that a stream belongs to now. What the client has it
// keeps: it is sent what differs.
func (s *Server) review(v *view, at *standing) *view {
	if s.config.View == nil {
		return v
	}
	name := s.config.View(at.node)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.view(name)
	if now != v {
		delete(v.streams, at)
		v.move()
		at.accepted, at.refused, at.refusals = nil, nil, nil
		now.streams[at] = struct{}{}
		now.move()
	}
	return now
}

func (s *Server) quit(v *view, at *standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(v.streams, at)
	v.move()
}

// stand notes where a stream is.
func (s *Server) stand(v *view, at *standing, now *Snapshot, accepted bool, refusals []Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := *at
	if at.accepted = nil; accepted {
		at.accepted, at.last = now, now
	}
	if at.refused = nil; len(refusals) > 0 {
		at.refused = now
	}
	at.refusals = refusals
	if at.accepted != before.accepted || at.refused != before.refused || len(refusals) != len(before.refusals) {
		v.move()
	}
}

func (v *view) move() {
	select {
	case v.moved <- struct{}{}:
	default:
	}
}
