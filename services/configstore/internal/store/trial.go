package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/canary"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// What a subscriber is given is a function of the store at a revision alone:
// the objects in force, and over them those of the canaries that have chosen
// it, where the object in force is still what the canary began from. So it
// makes no difference whether a subscriber listed at a revision or watched up
// to it, and it may go from one to the other, and to another member, anywhere.

// trial is what a canary became at a revision, for the subscribers of a topic.
type trial struct {
	canary *configstorev1.Canary
	on     []*configstorev1.Event // for those that it chooses now
	off    []*configstorev1.Event // for those that it chose before
}

// events are those of one subscriber in a namespace; all where it is empty.
func (t *trial) events(viewer *configstorev1.Subscriber, namespace string) []*configstorev1.Event {
	var given []*configstorev1.Event
	switch has, had := canary.Has(t.canary, viewer), canary.Had(t.canary, viewer); {
	case has && !had:
		given = t.on
	case had && !has:
		given = t.off
	}
	if namespace == "" {
		return given
	}
	return slices.DeleteFunc(slices.Clone(given), func(e *configstorev1.Event) bool {
		return e.GetObject().GetKey().GetNamespace() != namespace
	})
}

// tryOut adds the canaries among the events of one revision to the journals.
// and those journals to the ones that were touched. h.mu is held.
func (h *Hub) tryOut(events []*mvccpb.Event, touched []*journal) []*journal {
	for _, raw := range events {
		tenant, _, found := parseCanaryPath(string(raw.GetKv().GetKey()))
		if !found || raw.GetType() != mvccpb.Event_PUT {
			continue // a deletion is of an ended one
		}
		c, err := decodeCanary(raw.GetKv())
		if err != nil {
			h.log.Error("stored canary cannot be decoded and is passed over", "err", err)
			continue
		}
		for kind, t := range trials(c) {
			for _, topic := range []topic{{tenant, kind}, {tenant, ""}} {
				j := h.journal(topic)
				j.try(c.GetRevision(), t)
				if !slices.Contains(touched, j) {
					touched = append(touched, j)
				}
			}
		}
	}
	return touched
}

// trials are what a canary became, by kind. One that became a release needs no
// events: the release has them.
func trials(c *configstorev1.Canary) map[string]*trial {
	byKind := make(map[string]*trial)
	of := func(kind string) *trial {
		if byKind[kind] == nil {
			byKind[kind] = &trial{canary: c}
		}
		return byKind[kind]
	}
	for _, change := range c.GetChanges() { // for who follows canaries themselves
		of(canary.Key(change).GetKind())
	}
	switch c.GetState() {
	case running:
		for n, change := range c.GetChanges() {
			t := of(canary.Key(change).GetKind())
			t.on = append(t.on, eventOf(tried(c, n, c.GetRevision()), c.GetRevision()))
		}
	case configstorev1.Canary_STATE_PROMOTED:
	default:
		for _, before := range c.GetBefore() {
			t := of(before.GetKey().GetKind())
			back := proto.CloneOf(before)
			back.Revision = c.GetRevision()
			t.off = append(t.off, eventOf(back, c.GetRevision()))
		}
	}
	return byKind
}

// tried is the nth object of a canary as its instances have it since a
// revision; one that is deleted has no spec.
func tried(c *configstorev1.Canary, n int, since int64) *configstorev1.Object {
	change := c.GetChanges()[n]
	return &configstorev1.Object{
		Key: canary.Key(change), Labels: change.GetPut().GetLabels(), Spec: change.GetPut().GetSpec(),
		Revision: since, ReleaseId: c.GetId(), UpdatedAt: c.GetStepAt(),
	}
}

func eventOf(o *configstorev1.Object, revision int64) *configstorev1.Event {
	if o.GetSpec() != nil {
		return &configstorev1.Event{Type: configstorev1.Event_TYPE_PUT, Object: o}
	}
	gone := &configstorev1.Object{Key: o.GetKey(), Revision: revision, ReleaseId: o.GetReleaseId()}
	return &configstorev1.Event{Type: configstorev1.Event_TYPE_DELETE, Object: gone}
}

// WithCanaries has a subscription to all kinds that was just made tell what
// canaries become: Batch.Canaries. Its events stay those of what is in force.
func (s *Subscription) WithCanaries() *Subscription {
	s.canaries = true
	return s
}

// CanariesAt are a tenant's that ran at a revision.
func (s *Store) CanariesAt(ctx context.Context, tenant string, revision int64) ([]*configstorev1.Canary, error) {
	all, err := s.liveCanaries(ctx, tenant, revision)
	return slices.DeleteFunc(all, func(c *configstorev1.Canary) bool { return c.GetState() != running }), err
}

// triedAfter are what canaries became after a revision up to another, each
// once for each change, in order.
func (v *view) triedAfter(after, upTo int64) (all []*configstorev1.Canary) {
	for _, e := range v.entries {
		if e.revision <= after || e.revision > upTo {
			continue
		}
		for _, t := range e.trials {
			if !slices.Contains(all, t.canary) {
				all = append(all, t.canary)
			}
		}
	}
	return all
}

// For has a subscription that was just made, or made to list, show what a
// subscriber is given; nil: what is in force.
func (s *Store) For(ctx context.Context, sub *Subscription, viewer *configstorev1.Subscriber) *Subscription {
	if sub.viewer = viewer; viewer != nil && sub.list != nil {
		sub.list = func() ([]*configstorev1.Object, int64, error) {
			return s.ListFor(ctx, viewer, sub.topic.tenant, sub.topic.kind, sub.namespace)
		}
	}
	return sub
}

// ListFor is List as a subscriber is given it.
func (s *Store) ListFor(ctx context.Context, viewer *configstorev1.Subscriber, tenant, kind, namespace string) ([]*configstorev1.Object, int64, error) {
	objects, revision, err := s.List(ctx, tenant, kind, namespace)
	if err != nil || viewer == nil {
		return objects, revision, err
	}
	canaries, err := s.liveCanaries(ctx, tenant, revision)
	if err != nil {
		return nil, 0, err
	}
	for _, c := range canaries {
		objects = overlay(objects, c, viewer, kind, namespace)
	}
	return objects, revision, nil
}

// GetFor is Get as a subscriber is given it.
func (s *Store) GetFor(ctx context.Context, viewer *configstorev1.Subscriber, key object.Key) (*configstorev1.Object, error) {
	key = key.Normal()
	objects, _, err := s.ListFor(ctx, viewer, key.Tenant, key.Kind, key.Namespace)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.GetKey().GetName() == key.Name {
			return o, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
}

// overlay puts a canary's objects over those in force, in their order.
func overlay(objects []*configstorev1.Object, c *configstorev1.Canary, viewer *configstorev1.Subscriber, kind, namespace string) []*configstorev1.Object {
	if !canary.Has(c, viewer) {
		return objects
	}
	since := canary.Since(c, viewer)
	for n, change := range c.GetChanges() {
		key := canary.Key(change)
		if key.GetKind() != kind || namespace != "" && key.GetNamespace() != namespace {
			continue
		}
		at, found := slices.BinarySearchFunc(objects, key, compareKeys)
		var present int64
		if found {
			present = objects[at].GetRevision()
		}
		switch o := tried(c, n, since); {
		case present != max(change.GetExpectedRevision(), 0): // somebody else changed it
		case o.GetSpec() == nil:
			objects = slices.Delete(objects, at, at+1)
		case found:
			objects[at] = o
		default:
			objects = slices.Insert(objects, at, o)
		}
	}
	return objects
}

func compareKeys(o *configstorev1.Object, key *configstorev1.Key) int {
	return strings.Compare(o.GetKey().GetNamespace()+"/"+o.GetKey().GetName(), key.GetNamespace()+"/"+key.GetName())
}
