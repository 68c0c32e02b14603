package ads

import (
	"slices"
)

// subscription is what one client wants of one type, and where it stands.
type subscription struct {
	kind  kind
	all   bool
	names []string // asked for by name, sorted

	initial map[string]string // delta: versions that the client came with
	base    *group            // whose resources the client has taken; nil: none yet
	refused *group            // the newest that it refused; parked until there is another
	refusal Refusal           // of refused
	fresh   []string          // names to be sent whether they changed or not, sorted
	owed    []string          // to be sent with the next group, sorted
	gone    []*Resource       // what the client has and may have to be told to remove
	counted bool              // as parked, in the metric

	nonce  string  // of the last response
	flight *flight // that response, until it is answered
}

// flight is a response on its way.
type flight struct {
	group *group
	names []string // the fresh and owed ones in it
	part  bool     // fresh ones only: the client stays parked
	gone  bool     // it tells of removals
}

// wants tells whether a resource is subscribed to.
func (s *subscription) wants(name string) bool {
	if s.all {
		return true
	}
	_, found := slices.BinarySearch(s.names, name)
	return found
}

// answered takes the answer to the response in flight.
func (s *subscription) answered(refused bool) {
	f := s.flight
	s.flight = nil
	if refused {
		s.refused = f.group
		s.owed = union(s.owed, f.names)
		return
	}
	s.gone = slices.DeleteFunc(s.gone, func(r *Resource) bool { return f.gone || !f.part && f.group.find(r.Name) != nil })
	if f.part { // of a group that is refused: sent again with the next one
		s.owed = union(s.owed, f.names)
		return
	}
	s.base, s.refused, s.initial, s.owed = f.group, nil, nil, nil
}

// settled tells that the client has taken or refused a group, and so will
// refer to nothing older.
func (s *subscription) settled(at *group) bool {
	return s.flight == nil && (s.base == at || s.refused == at)
}

// replace sets the names of a state-of-the-world request. No names at all mean
// all where the client begins.
func (s *subscription) replace(names []string, first bool) {
	if slices.Contains(names, wildcard) || first && len(names) == 0 {
		if !s.all {
			s.all = true
			s.fresh = nil
			if s.base != nil { // what it has not got by name
				s.owe(s.names)
			}
		}
		s.names = nil
		return
	}
	if s.all && len(names) == 0 {
		return
	}
	names = compact(names)
	for _, name := range names {
		if !s.wants(name) {
			s.fresh = union(s.fresh, []string{name})
		}
	}
	s.all, s.names = false, names
	s.forget()
}

// owe makes everything be sent again but what is in except.
func (s *subscription) owe(except []string) {
	for _, r := range s.base.resources {
		if _, has := slices.BinarySearch(except, r.Name); !has {
			s.fresh = append(s.fresh, r.Name)
		}
	}
}

// change subscribes and unsubscribes by a delta request.
func (s *subscription) change(more, less []string, first bool) {
	if first && len(more) == 0 {
		more = []string{wildcard}
	}
	for _, name := range less {
		if name == wildcard {
			s.all = false
		} else if at, found := slices.BinarySearch(s.names, name); found {
			s.names = slices.Delete(s.names, at, at+1)
			if s.all { // still wanted: the client is told that it is there
				s.fresh = union(s.fresh, []string{name})
			}
		}
	}
	added := compact(more)
	if at, found := slices.BinarySearch(added, wildcard); found {
		added = slices.Delete(added, at, at+1)
		if !s.all {
			s.all = true
			if s.base != nil {
				s.owe(s.names)
			}
		}
	}
	s.names = union(s.names, added)
	s.fresh = union(s.fresh, added)
	s.forget()
}

// forget drops what is no longer wanted.
func (s *subscription) forget() {
	unwanted := func(name string) bool { return !s.wants(name) }
	s.fresh = slices.DeleteFunc(s.fresh, unwanted)
	s.owed = slices.DeleteFunc(s.owed, unwanted)
	s.gone = slices.DeleteFunc(s.gone, func(r *Resource) bool { return unwanted(r.Name) })
}

// wildcard asks for all resources of a type.
const wildcard = "*"

// compact returns names sorted and each once, in a slice of its own.
func compact(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// union merges two sorted lists.
func union(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	if len(a) == 0 {
		return slices.Clone(b)
	}
	return compact(append(slices.Clone(a), b...))
}
