package xds

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/canary"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// triedView is that of nodes which an operator's canary chooses.
const triedView = "tried"

// tried is a canary over the stable state. The store runs one at a time of what
// is rendered.
type tried struct {
	canary *configstorev1.Canary
	lost   []*configstorev1.Key // that somebody else changed: what is in force counts
	line   *line
	stale  bool // the canary is another than what was published
}

// lose notes that an object was changed.
func (t *tried) lose(key *configstorev1.Key) {
	if t == nil {
		return
	}
	same := func(change *configstorev1.Change) bool { return sameKey(canary.Key(change), key) }
	if slices.ContainsFunc(t.canary.GetChanges(), same) {
		t.lost = append(t.lost, key)
		t.stale = true
	}
}

// compare finds what somebody changed before the plane began to follow.
func (t *tried) compare(objects []*configstorev1.Object) {
	if t == nil {
		return
	}
	for _, change := range t.canary.GetChanges() {
		key, revision := canary.Key(change), int64(0)
		for _, o := range objects {
			if sameKey(o.GetKey(), key) {
				revision = o.GetRevision()
			}
		}
		if revision != max(change.GetExpectedRevision(), 0) {
			t.lose(key)
		}
	}
}

func sameKey(a, b *configstorev1.Key) bool {
	return a.GetKind() == b.GetKind() && a.GetNamespace() == b.GetNamespace() && a.GetName() == b.GetName()
}

// try takes over what a canary has become.
func (p *Plane) try(c *configstorev1.Canary) {
	rendered := func(change *configstorev1.Change) bool { return store.Rendered(canary.Key(change).GetKind()) }
	switch {
	case !slices.ContainsFunc(c.GetChanges(), rendered):
	case c.GetState() != configstorev1.Canary_STATE_RUNNING:
		if p.tried != nil && p.tried.canary.GetId() == c.GetId() {
			p.tried = nil
		}
	case p.tried != nil && p.tried.canary.GetId() == c.GetId():
		p.tried.canary, p.tried.stale = c, true
	default:
		p.tried = &tried{canary: c, stale: true}
	}
}

// publishTried serves the canary to those that it chooses, and what is in force
// to those that it does no longer.
func (p *Plane) publishTried(stable bool) {
	t := p.tried
	if t == nil {
		if p.chooses.Swap(nil) != nil {
			p.server.Review()
		}
		return
	}
	if p.stable.last == nil || !t.stale && !stable {
		return
	}
	t.line = t.line.at(t.over(p, p.stable.state.clone()))
	t.stale = false
	p.advance(t.line, triedView)
	if t.line.last != nil { // else it cannot be rendered: they keep what is in force
		p.chooses.Store(t.canary)
		p.server.Review()
	}
}

// over applies the canary to a state.
func (t *tried) over(p *Plane, s *state) *state {
	for _, change := range t.canary.GetChanges() {
		key := canary.Key(change)
		if !store.Rendered(key.GetKind()) || slices.ContainsFunc(t.lost, func(lost *configstorev1.Key) bool { return sameKey(lost, key) }) {
			continue
		}
		event := &configstorev1.Event{
			Type:   configstorev1.Event_TYPE_PUT,
			Object: &configstorev1.Object{Key: key, Spec: change.GetPut().GetSpec(), Revision: t.canary.GetRevision()},
		}
		if change.GetPut() == nil {
			event.Type = configstorev1.Event_TYPE_DELETE
		}
		p.apply(s, event)
	}
	s.release, s.revision = t.canary.GetId(), max(s.revision, t.canary.GetRevision())
	return s
}

// view names the view of a node: that of the canary which chooses it, else
// what other says, which may be nil.
func (p *Plane) view(other func(*corev3.Node) string) func(*corev3.Node) string {
	return func(node *corev3.Node) string {
		if c := p.chooses.Load(); c != nil && canary.Has(c, subscriberOf(node)) {
			return triedView
		}
		if other == nil {
			return ""
		}
		return other(node)
	}
}

// subscriberOf is a node as canaries choose it.
func subscriberOf(node *corev3.Node) *configstorev1.Subscriber {
	return &configstorev1.Subscriber{
		Id: cut(node.GetId(), maxID), Services: []string{"gateway"},
		Labels: map[string]string{"xds": "true", "cluster": cut(node.GetCluster(), 256)},
	}
}
