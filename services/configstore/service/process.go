package service

import "github.com/backlot-video/backlot/kit/lifecycle"

// heapGrowth is GOGC where the environment has none: releases leave garbage beside a
// small heap.
const heapGrowth = 400

var _ lifecycle.Tuner = (*Service)(nil)

// TuneProcess implements lifecycle.Tuner.
func (s *Service) TuneProcess() { lifecycle.GrowHeap(heapGrowth) }
