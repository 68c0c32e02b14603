package program

import (
	"math"
	"strconv"
	"sync"
	"unsafe"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// Windows feeds the velocity counters of a set and puts their measures into
// slots.
type Windows struct {
	counters velocity.Counters
	groups   []windowGroup
	batches  sync.Pool // of *batch
}

// windowGroup is the counters of one key.
type windowGroup struct {
	*velocity.Group
	by      *check.Node
	of      []*check.Node // by field; nil where events are counted
	outputs []windowOutput
}

// windowOutput puts one reading into a slot.
type windowOutput struct {
	*check.Output
	reading int
	field   int
	bound   bool // a lower bound is all that the rules ask for
}

// batch is the ops of one evaluation.
type batch struct{ ops []velocity.Op }

// Count tells how a fact is counted.
type Count struct {
	Part     string // keeps parts, such as tenants, apart
	EventID  string // counts once; empty: always
	ReadOnly bool   // counts nothing
}

var measureKinds = map[check.Measure]velocity.Kind{
	check.Count: velocity.Events, check.Sum: velocity.Sum, check.Avg: velocity.Sum,
	check.Largest: velocity.Max, check.Distinct: velocity.Distinct,
}

// NewWindows connects the counters of a set to where they are counted.
// Counters of one scope and definition share their counts, whichever program
// uses them.
func NewWindows(set *check.Set, counters velocity.Counters, scope string) *Windows {
	w := &Windows{counters: counters}
	var specs []velocity.Spec
	var plans []*check.Counter
	var outputs []*check.Output
	for _, plan := range set.Counters {
		for i := range plan.Outputs {
			output := &plan.Outputs[i]
			specs = append(specs, velocity.Spec{
				Of: plan.OfName, Kind: measureKinds[output.Measure], By: syntax.Text(plan.By.Source), Window: plan.Window,
			})
			plans, outputs = append(plans, plan), append(outputs, output)
		}
	}
	if len(specs) == 0 {
		return w
	}
	for _, group := range counters.Declare(scope, specs) {
		g := windowGroup{Group: group, of: make([]*check.Node, len(group.Fields))}
		for reading, spec := range group.Specs {
			field := group.Queries[reading].Field
			g.by, g.of[field] = plans[spec].By, plans[spec].Of
			g.outputs = append(g.outputs, windowOutput{outputs[spec], reading, field, !set.Exact[outputs[spec].Slot]})
		}
		w.groups = append(w.groups, g)
	}
	w.batches.New = func() any { return w.newBatch() }
	return w
}

func (w *Windows) newBatch() *batch {
	b := &batch{ops: make([]velocity.Op, len(w.groups))}
	for i := range w.groups {
		b.ops[i].Samples = make([]velocity.Sample, len(w.groups[i].Fields))
		b.ops[i].Readings = make([]velocity.Reading, len(w.groups[i].Queries))
	}
	return b
}

// Run counts the fact of a frame and reads its counters. The event's time may
// be missing. Values stay missing when the key or the aggregated field is.
func (w *Windows) Run(f *Frame, event fact.Slot, how Count) {
	if len(w.groups) == 0 {
		return
	}
	f.scratch = f.scratch[:0]
	b := w.batches.Get().(*batch)
	defer w.batches.Put(b)
	at, id := w.counters.Now(event.N, event.OK), w.counters.Hash(how.EventID)
	for i := range w.groups {
		op := &b.ops[i]
		g := &w.groups[i]
		op.Group, op.At, op.Part, op.Event, op.Add = g.Group, at, how.Part, id, !how.ReadOnly
		op.By, _ = f.text(g.by)
		for field, of := range g.of {
			op.Samples[field] = w.sample(f, g.Fields[field].Kind, of)
		}
	}
	w.counters.Run(b.ops)
	for i := range b.ops {
		if op := &b.ops[i]; op.OK {
			w.groups[i].put(f, op)
		}
		b.ops[i].By, b.ops[i].Part = "", "" // they belong to the fact
	}
}

// sample is what a fact has of an aggregated field.
func (w *Windows) sample(f *Frame, kind velocity.Kind, of *check.Node) velocity.Sample {
	if of == nil {
		return velocity.Sample{OK: true}
	}
	s := f.slot(of.Depth, of.Slot)
	if !s.OK {
		return velocity.Sample{}
	}
	if kind == velocity.Distinct {
		text, _ := f.text(of)
		return velocity.Sample{OK: true, Hash: w.counters.Hash(text)}
	}
	sample := velocity.Sample{OK: true, Value: s.N}
	if of.Type.Kind == fact.Money {
		sample.Unit = s.S
	}
	return sample
}

// put sets the slots that are known. A window that is warming is known only
// where a lower bound is enough.
func (g *windowGroup) put(f *Frame, op *velocity.Op) {
	for i := range g.outputs {
		output := &g.outputs[i]
		sample, reading := &op.Samples[output.field], &op.Readings[output.reading]
		if !sample.OK || reading.Warming && !output.bound {
			continue
		}
		f.Record.Slots[output.Slot] = f.measured(output.Output, reading, sample.Unit)
	}
}

// measured is the value of a measure. A sum that does not fit, and the average
// and maximum of nothing, are missing.
func (f *Frame) measured(output *check.Output, r *velocity.Reading, unit string) fact.Slot {
	switch output.Measure {
	case check.Count:
		return fact.Slot{N: r.Count, OK: true}
	case check.Distinct:
		return fact.Slot{N: r.Distinct, OK: true}
	case check.Largest:
		return fact.Slot{N: r.Value, S: unit, OK: r.Count > 0}
	default:
	}
	if !f.fits(!r.Overflow) {
		return fact.Slot{}
	}
	switch {
	case output.Measure == check.Sum:
		return fact.Slot{N: r.Value, S: unit, OK: true}
	case r.Count == 0:
		return fact.Slot{}
	case output.Type.Kind == fact.Float:
		mean := float64(r.Value) / float64(r.Count)
		return fact.Slot{N: int64(math.Float64bits(mean)), OK: true}
	}
	return fact.Slot{N: r.Value / r.Count, S: unit, OK: true}
}

// text returns a field's value as a string, in the frame's own memory if it
// is none.
func (f *Frame) text(n *check.Node) (string, bool) {
	s := f.slot(n.Depth, n.Slot)
	if !s.OK || n.Type.Kind == fact.String {
		return s.S, s.OK && s.S != ""
	}
	begin := len(f.scratch)
	f.scratch = strconv.AppendInt(f.scratch, s.N, 10)
	f.scratch = append(f.scratch, s.S...)
	written := f.scratch[begin:]
	return unsafe.String(unsafe.SliceData(written), len(written)), true
}

// Chosen reports whether the stable hash of a field falls into the first ppm
// parts of a million. Rules of different names choose apart.
func (f *Frame) Chosen(by *check.Node, rule string, ppm int64) bool {
	key, ok := f.text(by)
	if !ok {
		return false
	}
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(rule) {
		h = (h ^ uint64(rule[i])) * prime
	}
	h = (h ^ 0xFF) * prime
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return h%1_000_000 < uint64(ppm)
}
