package velocity

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// Kind is what a counter makes of events.
type Kind uint8

// The kinds.
const (
	Events   Kind = iota // how many
	Sum                  // of a field, and of how many
	Max                  // of a field
	Distinct             // values of a field
)

// Spec names a counter. Equal specs of one scope share their counts.
type Spec struct {
	Of     string // event or field
	Kind   Kind
	By     string        // field of the key
	Window time.Duration // at least a second
}

// Field is what a Sample is given for.
type Field struct {
	Of   string
	Kind Kind
}

// Group is the counters of a program that have one key. It is made by
// Counters.Declare and not changed.
type Group struct {
	Scope, By string
	Fields    []Field // a Sample for each
	Specs     []int   // of Declare, in the order of an Op's Readings
	Queries   []Query // for each of Specs

	table   *table
	columns []int // of the table, for each of Fields
	windows []windowQuery
	accs    int
}

// Query reads one field over one window.
type Query struct {
	Field  int // of Group.Fields
	Window time.Duration
}

// windowQuery is what a Group reads of one window of its table.
type windowQuery struct {
	length, span uint32
	step         stride
	reads        []queryRead
}

type queryRead struct {
	acc, reading int
	column       int
	kind         Kind
}

// Counters is where programs count: a Store, or several that share the keys.
type Counters interface {
	// Declare makes the counters of a scope known, grouped by their keys.
	Declare(scope string, specs []Spec) []*Group
	// Now is the time, in Unix microseconds, at which an event counts.
	Now(at int64, known bool) int64
	// Hash is that of a value or of an event's id.
	Hash(value string) uint64
	// Run counts and reads.
	Run(ops []Op)
}

var _ Counters = (*Store)(nil)

const (
	maxColumns = 16
	maxUnits   = 14
	maxShapes  = 255
	maxTables  = 1 << 16
	maxSteps   = 1000
)

type tableName struct {
	scope, by string
	part      int // where columns do not fit one table
}

// table is what is counted together for a key.
type table struct {
	tableName
	id    uint16
	key   sipKey
	state atomic.Pointer[tableState]
}

// tableState is not changed once stored.
type tableState struct {
	columns []column
	values  int // columns of Sum and Max
	seens   int // columns of Distinct
	windows []window
	units   []string
	shapes  []uint64
}

type column struct {
	Field
	pos   int   // among the values, or among the seens
	since int64 // Unix seconds from which on it is counted
}

// stride cuts time into steps.
type stride struct {
	seconds uint32
	inverse uint64 // 2^63 over them, rounded up: multiplying is quicker than dividing
}

func newStride(seconds uint32) stride { return stride{seconds, (1<<63-1)/uint64(seconds) + 1} }

// number is the step that a time is in. It is exact: what rounding up adds to
// the product stays below a part of seconds.
func (s stride) number(at uint32) uint32 {
	number, _ := bits.Mul64(uint64(at)<<1, s.inverse)
	return uint32(number)
}

// last is the last second of the step that a time is in.
func (s stride) last(at uint32) uint32 { return s.number(at)*s.seconds + s.seconds - 1 }

// window covers the last span steps, the present one included.
type window struct {
	length, span uint32 // in seconds, in steps
	step         stride
	since        int64 // Unix seconds from which on it is complete
	declared     int64 // Unix seconds when a program last did
	current      bool  // a program of this process did
}

func newWindow(length time.Duration, steps int) window {
	return newWindowOf(uint32(min(max(length/time.Second, 1), maxWindow)), steps)
}

func newWindowOf(seconds uint32, steps int) window {
	step := max((seconds+uint32(steps)-1)/uint32(steps), 1)
	return window{length: seconds, step: newStride(step), span: max(seconds/step, 1)}
}

// low is the first second within the window at a time.
func (w *window) low(at uint32) uint32 { return lowOf(at, w.step, w.span) }

func lowOf(at uint32, step stride, span uint32) uint32 {
	now := step.number(at)
	if now < span {
		return 0
	}
	return (now - span + 1) * step.seconds
}

// Declare implements Counters.
func (s *Store) Declare(scope string, specs []Spec) []*Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	var groups []*Group
	now := s.config.Clock().Unix()
	for i, spec := range specs {
		t := s.tableOf(scope, spec, now)
		if t == nil {
			continue // too many tables: it reads as missing
		}
		at := slices.IndexFunc(groups, func(g *Group) bool { return g.table == t })
		if at < 0 {
			at = len(groups)
			groups = append(groups, &Group{Scope: scope, By: spec.By, table: t})
		}
		g := groups[at]
		field := Field{spec.Of, spec.Kind}
		f := slices.Index(g.Fields, field)
		if f < 0 {
			f = len(g.Fields)
			g.Fields = append(g.Fields, field)
			g.columns = append(g.columns, t.state.Load().find(field))
		}
		g.Specs = append(g.Specs, i)
		g.Queries = append(g.Queries, Query{f, spec.Window})
	}
	for _, g := range groups {
		g.finish(s.config.Steps)
	}
	return groups
}

// finish orders what a group reads by windows.
func (g *Group) finish(steps int) {
	for i, query := range g.Queries {
		w := newWindow(query.Window, steps)
		at := slices.IndexFunc(g.windows, func(q windowQuery) bool { return q.length == w.length })
		if at < 0 {
			at = len(g.windows)
			g.windows = append(g.windows, windowQuery{length: w.length, step: w.step, span: w.span})
		}
		read := queryRead{acc: query.Field, reading: i, column: g.columns[query.Field], kind: g.Fields[query.Field].Kind}
		g.windows[at].reads = append(g.windows[at].reads, read)
	}
	slices.SortFunc(g.windows, func(a, b windowQuery) int { return int(a.length) - int(b.length) })
	g.accs = len(g.Fields)
}

// tableOf finds or makes the table with a spec's column and window, nil where there
// are too many; mu is held.
func (s *Store) tableOf(scope string, spec Spec, now int64) *table {
	field := Field{spec.Of, spec.Kind}
	for part := range maxParts {
		t := s.table(tableName{scope, spec.By, part})
		if t == nil {
			break
		}
		state := t.state.Load()
		if state.find(field) < 0 && len(state.columns) == maxColumns {
			continue
		}
		next := state.withColumn(field, now).withWindow(newWindow(spec.Window, s.config.Steps), now)
		t.state.Store(next.declaring(spec.Window, now))
		return t
	}
	return nil
}

// table finds or makes a table; mu is held. It is nil where there are too many.
func (s *Store) table(name tableName) *table {
	tables := *s.tables.Load()
	if id, ok := s.named[name]; ok {
		return tables[id]
	}
	if len(tables) == maxTables {
		return nil
	}
	t := &table{tableName: name, id: uint16(len(tables)), key: s.keys.tables.derive(name.scope, name.by, string(rune('0'+name.part)))}
	t.state.Store(&tableState{})
	s.named[name] = len(tables)
	next := append(slices.Clone(tables), t)
	s.tables.Store(&next)
	return t
}

func (t *tableState) find(field Field) int {
	return slices.IndexFunc(t.columns, func(c column) bool { return c.Field == field })
}

func (t *tableState) withColumn(field Field, now int64) *tableState {
	if t.find(field) >= 0 {
		return t
	}
	next := *t
	c := column{Field: field, since: now}
	switch field.Kind {
	case Sum, Max:
		c.pos = next.values
		next.values++
	case Distinct:
		c.pos = next.seens
		next.seens++
	case Events:
	}
	next.columns = append(slices.Clone(t.columns), c)
	return &next
}

// withWindow adds a window. What a longer one has kept is in it already.
func (t *tableState) withWindow(w window, now int64) *tableState {
	if slices.ContainsFunc(t.windows, func(known window) bool { return known.length == w.length }) {
		return t
	}
	w.since, w.declared = now, now
	if n := len(t.windows); n > 0 && now > t.windows[n-1].since {
		longest := t.windows[n-1]
		w.since = max(longest.since, now-int64(longest.length))
	}
	next := *t
	next.windows = append(slices.Clone(t.windows), w)
	slices.SortFunc(next.windows, func(a, b window) int { return int(a.length) - int(b.length) })
	return &next
}

// declaring notes that a program uses a window.
func (t *tableState) declaring(length time.Duration, now int64) *tableState {
	next := *t
	next.windows = slices.Clone(t.windows)
	for i := range next.windows {
		if w := &next.windows[i]; w.length == newWindow(length, 1).length {
			w.declared, w.current = now, true
		}
	}
	return &next
}

// abandoned tells whether no program has used a window for its length and a
// day: a snapshot then drops it, so that keys need not be kept for it.
func (w *window) abandoned(now int64) bool {
	return !w.current && now-w.declared > int64(w.length)+24*3600
}

// low is the first second that any window at a time reaches.
func (t *tableState) low(at uint32) uint32 {
	low := at
	for i := range t.windows {
		low = min(low, t.windows[i].low(at))
	}
	return low
}

// reaches tells whether a window at a time reaches an earlier one. However its
// steps fall, the longest reaches all but its first step back.
func (t *tableState) reaches(earlier, at uint32) bool {
	if n := len(t.windows); n > 0 {
		if w := &t.windows[n-1]; at-earlier <= (w.span-1)*w.step.seconds {
			return true
		}
	}
	return t.low(at) <= earlier
}

// expired tells whether an entry can go: no window reaches it any more, nor
// did an eighth of the longest one ago, so that late events find their key.
func (t *tableState) expired(newest, at uint32) bool {
	grace := uint32(0)
	if n := len(t.windows); n > 0 {
		grace = t.windows[n-1].length / 8
	}
	return at > grace && t.low(at-grace) > newest
}

// full tells whether a window of a column has been counted for its length.
func (t *tableState) full(column int, length uint32, now, since int64) bool {
	since = max(since, t.columns[column].since)
	for i := range t.windows {
		if t.windows[i].length == length {
			since = max(since, t.windows[i].since)
		}
	}
	return now-since >= int64(length)
}
