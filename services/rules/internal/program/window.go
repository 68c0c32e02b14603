package program

import (
	"math"
	"strconv"
	"unsafe"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// Windows feeds the velocity counters of a set and puts their measures into
// slots.
type Windows struct {
	store   *velocity.Store
	scope   string
	windows []window
}

type window struct {
	plan    *check.Counter
	counter velocity.Counter
}

// Count tells how a fact is counted.
type Count struct {
	Part     string // keeps parts, such as tenants, apart
	EventID  string // counts once; empty: always
	ReadOnly bool   // counts nothing
}

// NewWindows connects the counters of a set to a store. Counters of one scope
// and definition share their counts, whichever program uses them.
func NewWindows(set *check.Set, store *velocity.Store, scope string) *Windows {
	w := &Windows{store: store, scope: scope}
	for _, plan := range set.Counters {
		of := "event " + plan.OfName
		if plan.Of != nil {
			of = "field " + plan.OfName
		}
		if plan.Hash {
			of = "distinct " + plan.OfName
		}
		spec := velocity.Spec{Scope: scope, Of: of, By: syntax.Text(plan.By.Source), Window: plan.Window}
		w.windows = append(w.windows, window{plan, store.Counter(spec)})
	}
	return w
}

// Run counts the fact of a frame and reads its counters. The event's time may
// be missing. Values stay missing when the key or the aggregated field is.
func (w *Windows) Run(f *Frame, event fact.Slot, how Count) {
	if len(w.windows) == 0 {
		return
	}
	at := w.store.Now(event.N, event.OK)
	add := !how.ReadOnly && w.store.FirstTime(w.scope, how.Part, how.EventID)
	for i := range w.windows {
		w.windows[i].run(f, w.store, at, how.Part, add)
	}
}

func (w *window) run(f *Frame, store *velocity.Store, at int64, part string, add bool) {
	by, ok := f.text(w.plan.By)
	if !ok {
		return
	}
	value, unit, hash := int64(1), "", uint64(0)
	if of := w.plan.Of; of != nil {
		s := f.slot(of.Depth, of.Slot)
		if !s.OK {
			return
		}
		value = s.N
		if of.Type.Kind == fact.Money {
			unit = s.S
		}
		if w.plan.Hash {
			text, _ := f.text(of)
			value, hash = 1, store.Hash(text)|1
		}
	}
	var r velocity.Reading
	key := velocity.Key{By: by, Unit: unit, Part: part}
	if add {
		r, ok = w.counter.Add(at, key, value, hash)
	} else {
		r, ok = w.counter.Read(at, key)
	}
	if !ok {
		return
	}
	for i := range w.plan.Outputs {
		output := &w.plan.Outputs[i]
		f.Record.Slots[output.Slot] = f.measured(output, r, unit)
	}
}

// measured is the value of a measure. A sum that does not fit, and the average
// and maximum of nothing, are missing.
func (f *Frame) measured(output *check.Output, r velocity.Reading, unit string) fact.Slot {
	switch output.Measure {
	case check.Count:
		return fact.Slot{N: r.Count, OK: true}
	case check.Distinct:
		return fact.Slot{N: r.Distinct, OK: true}
	case check.Largest:
		return fact.Slot{N: r.Max, S: unit, OK: r.Count > 0}
	default:
	}
	if !f.fits(!r.Overflow) {
		return fact.Slot{}
	}
	switch {
	case output.Measure == check.Sum:
		return fact.Slot{N: r.Sum, S: unit, OK: true}
	case r.Count == 0:
		return fact.Slot{}
	case output.Type.Kind == fact.Float:
		mean := float64(r.Sum) / float64(r.Count)
		return fact.Slot{N: int64(math.Float64bits(mean)), OK: true}
	}
	return fact.Slot{N: r.Sum / r.Count, S: unit, OK: true}
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
