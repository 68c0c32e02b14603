package ads

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// response is one response: shared parts, and a head of the client's own.
type response struct {
	kind    kind
	version string
	nonce   string
	delta   bool
	shared  []byte      // resources, joined for many clients
	own     []*Resource // resources for this client
	removed []string    // delta
}

// advance takes a client to a group that brings it nothing.
func (s *subscription) advance(g *group, delta bool) {
	if s.base == nil || g == s.base || g == s.refused || len(s.owed)+len(s.fresh) > 0 {
		return
	}
	d := g.from(s.base)
	wanted := func(r *Resource) bool { return s.wants(r.Name) }
	told := (delta || s.kind.full()) && slices.ContainsFunc(d.removed, wanted)
	if !told && !slices.ContainsFunc(d.changed, wanted) {
		s.base, s.refused = g, nil
	}
}

// respond makes the response that is due after a group, if any, and puts it in
// flight. hold keeps removals back. whole is a client that is told of every
// version, because it compares them with the manifest.
func (s *subscription) respond(g *group, delta, hold, whole bool) (made response, due bool) {
	f := &flight{group: g, names: s.fresh}
	made = response{kind: s.kind, version: g.version, delta: delta}
	switch {
	case g != s.refused && s.base == nil:
		due = true
		f.names = union(s.owed, s.fresh)
		s.first(&made, g)
	case g != s.refused && g != s.base:
		f.names = union(s.owed, s.fresh)
		due = s.next(&made, f, hold, whole)
	case len(s.fresh) > 0:
		due, f.part = true, g == s.refused
		s.pick(&made, g, s.fresh, nil)
		s.more(&made, g)
	case !hold && g == s.base && len(s.leaving(g)) > 0:
		due, f.gone = true, true
		s.remove(&made, g)
	}
	if due {
		s.fresh, s.flight = nil, f
	}
	return made, due
}

// first is what a client gets that has nothing, or what it came with.
func (s *subscription) first(made *response, g *group) {
	if len(s.initial) == 0 && s.all && len(s.names) == 0 {
		made.shared = variant(g.all(), made.delta)
		return
	}
	for _, r := range g.resources {
		if s.wants(r.Name) && s.initial[r.Name] != r.Version {
			made.own = append(made.own, r)
		}
	}
	for name := range s.initial {
		if s.wants(name) && g.find(name) == nil {
			made.removed = append(made.removed, name)
		}
	}
	for _, name := range s.names { // that it does not exist is an answer
		if _, had := s.initial[name]; !had && g.find(name) == nil {
			made.removed = append(made.removed, name)
		}
	}
	slices.Sort(made.removed)
}

// next is what changed since what the client has. It tells whether there is
// something to be sent.
func (s *subscription) next(made *response, f *flight, hold, whole bool) bool {
	d := f.group.from(s.base)
	for _, r := range d.changed {
		if s.wants(r.Name) {
			made.own = append(made.own, r)
		}
	}
	changed := len(made.own)
	if made.delta || s.kind.full() { // else removals cannot be told of
		s.leave(d.removed)
	}
	if !whole && changed == 0 && len(f.names) == 0 && (hold || len(s.leaving(f.group)) == 0) {
		s.base, s.refused = f.group, nil // there is nothing else to be told now
		return false
	}
	if changed == len(d.changed) && len(f.names) == 0 {
		made.own, made.shared = nil, variant(d.all(), made.delta)
	}
	s.pick(made, f.group, f.names, d)
	f.gone = !hold
	switch {
	case !made.delta && s.kind.full():
		s.everything(made, f.group, hold)
	case !hold:
		s.remove(made, f.group)
	}
	return true
}

// leave notes removals.
func (s *subscription) leave(removed []*Resource) {
	for _, r := range removed {
		known := func(other *Resource) bool { return other.Name == r.Name }
		if s.wants(r.Name) && !slices.ContainsFunc(s.gone, known) {
			s.gone = append(s.gone, r)
		}
	}
}

// leaving is what the client has and a group has not.
func (s *subscription) leaving(g *group) []*Resource {
	if len(s.gone) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.gone), func(r *Resource) bool { return g.find(r.Name) != nil })
}

// more completes a response with what was newly asked for. A client that is
// parked keeps the rest.
func (s *subscription) more(made *response, g *group) {
	if made.delta || !s.kind.full() {
		return
	}
	if g != s.refused {
		s.everything(made, g, true)
	} else if s.base != nil {
		for _, r := range s.base.resources {
			if s.wants(r.Name) && !slices.Contains(s.fresh, r.Name) {
				made.own = append(made.own, r)
			}
		}
	}
}

// remove tells of the removals.
func (s *subscription) remove(made *response, g *group) {
	if !made.delta {
		if s.kind.full() {
			s.everything(made, g, false)
		}
		return
	}
	for _, r := range s.leaving(g) {
		made.removed = append(made.removed, r.Name)
	}
}

// everything fills a response, state of the world, with all that is wanted,
// and where they are held with what is to be removed.
func (s *subscription) everything(made *response, g *group, hold bool) {
	made.own, made.shared = nil, nil
	var kept []*Resource
	if hold {
		kept = s.leaving(g)
	}
	if s.all && len(kept) == 0 {
		made.shared = g.all()[0]
		return
	}
	for _, r := range g.resources {
		if s.wants(r.Name) {
			made.own = append(made.own, r)
		}
	}
	if len(kept) > 0 {
		made.own = append(made.own, kept...)
		made.version += "+"
	}
}

// pick adds resources by name but those that d holds. Of those that do not
// exist delta says so.
func (s *subscription) pick(made *response, g *group, names []string, d *diff) {
	for _, name := range names {
		switch r := g.find(name); {
		case r == nil:
			made.removed = append(made.removed, name)
		case d == nil || !d.changes(name):
			made.own = append(made.own, r)
		}
	}
}

func variant(all [2][]byte, delta bool) []byte {
	if delta {
		return all[1]
	}
	return all[0]
}

// head is what the shared bytes do not hold: a message may have its fields in
// any order, so the rest is just put behind it.
func (r *response) head(b []byte) []byte {
	version, typeURL, nonce, plane := protowire.Number(stateVersion), protowire.Number(stateType), protowire.Number(stateNonce), protowire.Number(statePlane)
	if r.delta {
		version, typeURL, nonce, plane = deltaVersion, deltaType, deltaNonce, deltaPlane
	}
	b = appendString(b, version, r.version)
	b = appendString(b, typeURL, typeURLs[r.kind])
	b = appendString(b, nonce, r.nonce)
	b = protowire.AppendTag(b, plane, protowire.BytesType)
	b = protowire.AppendBytes(b, appendString(nil, planeIdentifier, identifier))
	if r.delta {
		for _, name := range r.removed {
			b = appendString(b, deltaRemoved, name)
		}
	}
	for _, one := range r.own {
		if r.delta {
			b = append(b, one.delta...)
		} else {
			b = append(b, one.state...)
		}
	}
	return b
}
