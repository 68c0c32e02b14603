package catalog

import (
	"sync"
	"sync/atomic"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
)

const (
	sampleFacts    = 256     // kept of each fact type
	sampleFactSize = 4 << 10 // bytes; larger facts are not kept
	sampleEvery    = 64      // once it is full, a fact of so many is taken
)

// sample keeps some of the newest facts of a type, in memory only, from which
// compilers learn which tests are worth an index.
type sample struct {
	seen atomic.Uint64

	mu    sync.Mutex
	facts [][]byte
	next  int
	last  *rules.Sample // nil once there are other facts
}

// offer copies a fact if it is its turn. It never waits.
func (s *sample) offer(wire []byte) {
	n := s.seen.Add(1)
	if n > sampleFacts && n%sampleEvery != 0 || len(wire) > sampleFactSize || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	s.last = nil
	if len(s.facts) < sampleFacts {
		s.facts = append(s.facts, append([]byte(nil), wire...))
		return
	}
	s.facts[s.next] = append(s.facts[s.next][:0], wire...)
	s.next = (s.next + 1) % sampleFacts
}

// learned is what compilers need to know of the facts, the same for all who ask
// before there are others.
func (s *sample) learned(schema *fact.Schema) *rules.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.Schema() != schema {
		s.last = rules.NewSample(schema, s.copied())
	}
	return s.last
}

// copied returns the facts; mu is held.
func (s *sample) copied() [][]byte {
	facts := make([][]byte, len(s.facts))
	for i, fact := range s.facts {
		facts[i] = append([]byte(nil), fact...)
	}
	return facts
}
