package ads

import (
	"log/slog"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// maxNames bounds the resources of a type that a client asks for by name.
const maxNames = 10_000

// maxText bounds what a client says of itself in logs.
const maxText = 512

// stream is the state of one client. It does no I/O: the server hands in
// requests and takes responses out.
type stream struct {
	log     *slog.Logger
	metrics *metrics
	delta   bool
	node    *corev3.Node // of the first request
	nonces  int
	types   [kinds]*subscription
	target  *Snapshot // that is being sent
}

func newStream(log *slog.Logger, m *metrics, delta bool) *stream {
	return &stream{log: log, metrics: m, delta: delta}
}

// state takes a state-of-the-world request over.
func (s *stream) state(r *discoveryv3.DiscoveryRequest) {
	s.from(r.GetNode())
	sub, first := s.subscription(r.GetTypeUrl(), len(r.GetResourceNames()))
	if sub == nil {
		return
	}
	if nonce := r.GetResponseNonce(); !first && nonce != sub.nonce && (nonce != "" || sub.flight != nil) {
		return // about an older response: the client answers the newer one too
	}
	if sub.flight != nil {
		s.answer(sub, r.GetErrorDetail() != nil, r.GetErrorDetail().GetMessage())
	}
	sub.replace(r.GetResourceNames(), first)
}

// change takes a delta request over.
func (s *stream) change(r *discoveryv3.DeltaDiscoveryRequest) {
	s.from(r.GetNode())
	sub, first := s.subscription(r.GetTypeUrl(), len(r.GetResourceNamesSubscribe()))
	if sub == nil {
		return
	}
	if first {
		sub.initial = r.GetInitialResourceVersions()
	}
	if sub.flight != nil && r.GetResponseNonce() == sub.nonce {
		s.answer(sub, r.GetErrorDetail() != nil, r.GetErrorDetail().GetMessage())
	}
	if first || len(r.GetResourceNamesSubscribe()) > 0 || len(r.GetResourceNamesUnsubscribe()) > 0 {
		sub.change(r.GetResourceNamesSubscribe(), r.GetResourceNamesUnsubscribe(), first)
	}
}

func (s *stream) from(node *corev3.Node) {
	if s.node == nil && node != nil {
		s.node = node
	}
}

// id is the node's, bounded.
func (s *stream) id() string { return bounded(s.node.GetId()) }

func bounded(text string) string {
	if len(text) > maxText {
		return strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}

// subscription finds that of a type, or begins it. It returns nil for what is
// passed over: unknown types, and too many names.
func (s *stream) subscription(typeURL string, names int) (sub *subscription, first bool) {
	k, known := kindOf(typeURL)
	if known && s.types[k] != nil {
		sub = s.types[k]
	}
	if !known || names > maxNames || sub != nil && s.delta && len(sub.names)+names > maxNames {
		s.metrics.passed.Inc()
		s.log.Warn("xds request is passed over", "node", s.id(), "type", bounded(typeURL), "names", names)
		return nil, false
	}
	if sub == nil {
		sub, first = &subscription{kind: k}, true
		s.types[k] = sub
	}
	return sub, first
}

func (s *stream) answer(sub *subscription, refused bool, reason string) {
	f := sub.flight
	sub.answered(refused)
	s.count(sub)
	if !refused {
		return
	}
	// The client keeps what it has. It is not sent the same again: the next
	// response is of the next version.
	sub.refusal = Refusal{typeURLs[sub.kind], sub.suspects(f), bounded(reason)}
	s.metrics.rejected.WithLabelValues(labels[sub.kind]).Inc()
	s.log.Error("configuration is rejected by a client and parked", "node", s.id(), "type", labels[sub.kind],
		"resources", sub.refusal.Resources, "version", f.group.version, "release_id", s.target.Release(), "reason", sub.refusal.Reason)
}

// count keeps the number of parked subscriptions.
func (s *stream) count(sub *subscription) {
	if parked := sub.refused != nil; parked != sub.counted {
		sub.counted = parked
		s.metrics.park(sub.kind, parked)
	}
}

// close takes the stream out of the metrics.
func (s *stream) close() {
	for _, sub := range s.types {
		if sub != nil && sub.counted {
			s.metrics.park(sub.kind, false)
		}
	}
}

// suspects names some of the resources of a refused response.
func (s *subscription) suspects(f *flight) []string {
	const few = 5
	var names []string
	for _, r := range f.group.from(s.base).changed {
		if len(names) < few && s.wants(r.Name) {
			names = append(names, r.Name)
		}
	}
	return names
}

// whole tells that the client takes whole snapshots only.
func (s *stream) whole() bool { return s.types[manifests] != nil }

// flying tells that a response is not answered yet.
func (s *stream) flying() bool {
	for _, sub := range s.types {
		if sub != nil && sub.flight != nil {
			return true
		}
	}
	return false
}

// responses returns what the newest snapshot has for the client, in order.
func (s *stream) responses(newest *Snapshot) []response {
	if s.target == nil || !s.whole() || !s.flying() {
		s.target = newest
	}
	for k, sub := range s.types {
		if sub != nil && sub.flight == nil && !s.whole() {
			sub.advance(s.target.groups[k], s.delta)
			s.count(sub)
		}
	}
	var list []response
	for k, sub := range s.types {
		if sub == nil || sub.flight != nil || (sub.base != nil || sub.kind == manifests) && !s.sent(sub.kind) {
			continue
		}
		made, due := sub.respond(s.target.groups[k], s.delta, s.hold(sub.kind), s.whole())
		if !due {
			continue
		}
		s.nonces++
		sub.nonce = strconv.Itoa(s.nonces)
		made.nonce = sub.nonce
		s.metrics.responses.WithLabelValues(labels[k]).Inc()
		list = append(list, made)
	}
	return list
}

// sent tells that what a type refers to is on its way or there, in the target's
// version. A manifest refers to all.
func (s *stream) sent(before kind) bool {
	for k, sub := range s.types[:before] {
		if sub == nil {
			continue
		}
		if at := s.target.groups[k]; !sub.settled(at) && (sub.flight == nil || sub.flight.group != at) {
			return false
		}
	}
	return true
}

// hold tells that removals of a type have to wait: the client may still refer
// to what is removed.
func (s *stream) hold(k kind) bool {
	if !k.referred() || s.whole() {
		return false
	}
	for _, referring := range []kind{listeners, routes} {
		if sub := s.types[referring]; sub != nil && !sub.settled(s.target.groups[referring]) {
			return true
		}
	}
	return false
}

// accepted tells that the client has taken all of a snapshot that it asked for.
func (s *stream) accepted(snapshot *Snapshot) bool {
	accepted := snapshot != nil
	for k, sub := range s.types {
		if sub != nil && snapshot != nil {
			accepted = accepted && sub.base == snapshot.groups[k]
		}
	}
	return accepted
}

// refusals are what the client refused of a snapshot.
func (s *stream) refusals(snapshot *Snapshot) (all []Refusal) {
	for k, sub := range s.types {
		if sub != nil && snapshot != nil && sub.refused == snapshot.groups[k] && sub.refused != nil {
			all = append(all, sub.refusal)
		}
	}
	return all
}
