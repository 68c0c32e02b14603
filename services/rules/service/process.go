package service

import "github.com/backlot-video/backlot/kit/lifecycle"

// heapGrowth is GOGC where the environment has none: judging leaves no garbage, a set
// that is swapped in leaves the one before, and counters are not in Go's heap.
const heapGrowth = 400

var _ lifecycle.Tuner = (*Service)(nil)

// TuneProcess implements lifecycle.Tuner.
func (s *Service) TuneProcess() { lifecycle.GrowHeap(heapGrowth) }
