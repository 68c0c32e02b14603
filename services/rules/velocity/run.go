package velocity

import "errors"

// ErrMalformed means counters that cannot be read.
var ErrMalformed = errors.New("malformed counters")

// Op counts an event for one key and reads the key's counters, or only reads
// them.
type Op struct {
	Group *Group
	At    int64  // Unix microseconds, see Counters.Now
	Part  string // keeps parts, such as tenants, apart
	By    string // the key
	Event uint64 // hash of the event's id, which is counted once; 0: always
	Add   bool
	// Samples are the event's values, one for each of Group.Fields.
	Samples []Sample
	// Readings are set by Run, one for each of Group.Queries: for Sum and Max
	// of the unit of its sample.
	Readings []Reading
	// OK is set by Run: false where nothing is known of the key, which may be
	// empty, too long or out of reach.
	OK bool

	hash keyHash // of the key, set by locate
}

// Sample is what an event has of a field.
type Sample struct {
	OK    bool
	Value int64  // of Sum and Max
	Unit  string // of Sum and Max: keeps sums apart, such as by currency
	Hash  uint64 // of Distinct: of the value, see Counters.Hash
}

// Run implements Counters. An event counts before its windows are read.
func (s *Store) Run(ops []Op) {
	for i := range ops {
		ops[i].OK = ops[i].locate()
	}
	if len(ops) > 1 {
		s.prefetch(ops)
	}
	var r Record
	for i := range ops {
		op := &ops[i]
		clear(op.Readings)
		if op.OK {
			s.record(op, &r)
			s.apply(&r, applying{add: op.Add, group: op.Group, out: op.Readings})
		}
	}
}

// prefetch fetches what ops will look at, all at once: a key's entry is seldom
// in a cache, and waiting for one after the other is most of what they take.
func (s *Store) prefetch(ops []Op) {
	for i := range ops {
		if op := &ops[i]; op.OK {
			prefetchSlot(&s.shards[op.hash.partition()].index, fragment(op.hash))
		}
	}
	for i := range ops {
		if op := &ops[i]; op.OK {
			s.shards[op.hash.partition()].prefetch(op.hash)
		}
	}
}

// Count is Run of a record: of another store, translated.
func (s *Store) Count(r *Record, add bool, group *Group, out []Reading) {
	clear(out)
	s.apply(r, applying{add: add, group: group, out: out})
}

// Record is what an Op counts. It is false for a key that cannot be counted.
func (s *Store) Record(op *Op, r *Record) bool {
	if !op.locate() {
		return false
	}
	s.record(op, r)
	return true
}

// locate hashes the key. It is false for a key that cannot be counted.
func (op *Op) locate() bool {
	t := op.Group.table
	if op.By == "" || len(op.By)+len(op.Part) > MaxKey || t == nil {
		return false
	}
	op.hash = t.key.key(op.Part, op.By)
	return true
}

// record sets the record of an op that is located.
func (s *Store) record(op *Op, r *Record) {
	t, h := op.Group.table, op.hash
	r.Table, r.High, r.Low, r.At, r.Event, r.Columns, r.Units = t.id, h.high, h.low, floorSeconds(op.At), op.Event, 0, 0
	clear(r.Values[:])
	state := t.state.Load()
	for i := range op.Samples {
		sample := &op.Samples[i]
		if !sample.OK {
			continue
		}
		column := op.Group.columns[i]
		switch op.Group.Fields[i].Kind {
		case Events:
			r.Units |= 1 << (4 * column)
		case Sum, Max:
			unit := state.unit(sample.Unit)
			if unit == 0 {
				if unit = s.addUnit(t, sample.Unit); unit == 0 {
					continue
				}
			}
			r.Units |= unit << (4 * column)
			r.Values[column] = sample.Value
		case Distinct:
			r.Values[column] = int64(sample.Hash)
		}
		r.Columns |= 1 << column
	}
}

// floorSeconds rounds down, into the range of an entry's times.
func floorSeconds(at int64) int64 {
	seconds := at / 1_000_000
	if at%1_000_000 < 0 {
		seconds--
	}
	return min(max(seconds, 0), maxTime)
}

const (
	maxTime   = 1<<32 - 1
	maxWindow = 31 * 24 * 3600 // seconds
	maxParts  = 8
)

// unit is the nibble of a unit, 0 where it is not known.
func (t *tableState) unit(name string) uint64 {
	for i, known := range t.units {
		if known == name {
			return uint64(i + 1)
		}
	}
	return 0
}

func (t *tableState) withUnit(name string) (*tableState, uint64) {
	if unit := t.unit(name); unit > 0 || len(t.units) == maxUnits {
		return t, unit
	}
	next := *t
	next.units = append(t.units[:len(t.units):len(t.units)], name)
	return &next, uint64(len(next.units))
}

// addUnit returns 0 where a table has too many units.
func (s *Store) addUnit(t *table, name string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, unit := t.state.Load().withUnit(name)
	t.state.Store(next)
	if unit == 0 {
		s.crowded.Add(1)
	}
	return unit
}

// shape is the number of a row's columns and units.
func (t *tableState) shape(units uint64) (uint8, bool) {
	for i, known := range t.shapes {
		if known == units {
			return uint8(i), true
		}
	}
	return 0, false
}

func (s *Store) addShape(t *table, units uint64) (uint8, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := t.state.Load()
	if shape, known := state.shape(units); known {
		return shape, true
	}
	if len(state.shapes) == maxShapes {
		s.crowded.Add(1)
		return 0, false
	}
	next := *state
	next.shapes = append(state.shapes[:len(state.shapes):len(state.shapes)], units)
	t.state.Store(&next)
	return uint8(len(next.shapes) - 1), true
}

// applying tells what to do with a record.
type applying struct {
	add, replay bool
	group       *Group
	out         []Reading
}

// apply counts and reads.
func (s *Store) apply(r *Record, how applying) {
	key := spot{hash: keyHash{r.High, r.Low}}
	t := (*s.tables.Load())[r.Table]
	sh := &s.shards[key.hash.partition()]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.find(&key)
	if how.add {
		known := key.found
		s.count(sh, t, &key, r, how.replay)
		if sh.turn++; !known || sh.turn%sweepEvery == 0 {
			sh.expire(s, uint32(r.At))
		}
	}
	if how.group == nil {
		return
	}
	state := t.state.Load()
	if key.found {
		sh.reader.answer(key.entry, state, how.group, r, how.out)
	}
	if s.config.Warming {
		now := s.config.Clock().Unix()
		for i := range how.group.Queries {
			q := &how.group.Queries[i]
			how.out[i].Warming = !state.full(how.group.columns[q.Field], uint32(q.Window.Seconds()), now, sh.since)
		}
	}
}

// count counts what is new of a record. Afterwards the key is where it is then.
func (s *Store) count(sh *shard, t *table, key *spot, r *Record, replay bool) {
	fresh := r.Columns
	if r.Event != 0 {
		fresh &^= sh.events.note(key.hash.event(r.Event), r.Columns)
	}
	if fresh == 0 {
		return
	}
	state := t.state.Load()
	var sample sample
	if row := sample.take(state, r, fresh); row != 0 {
		sample.row = true
		shape, known := state.shape(row)
		if !known {
			shape, sample.row = s.addShape(t, row)
			state = t.state.Load()
		}
		sample.shape = shape
	}
	if key.found {
		if newest := key.entry.newest(); sample.time < newest && sample.time < state.low(newest) {
			s.late.Add(1)
			return
		}
	}
	sh.add(s, t, state, key, &sample)
	if s.config.Log != nil && !replay {
		logged := *r
		logged.Columns = fresh
		s.config.Log.Append(&logged)
	}
}

// take sets an empty sample to a record's columns as its table counts them, and
// returns the units of those that are in a row.
func (s *sample) take(state *tableState, r *Record, columns uint16) (row uint64) {
	s.time = uint32(r.At)
	for i := range state.columns {
		if columns>>i&1 == 0 {
			continue
		}
		c := &state.columns[i]
		switch c.Kind {
		case Distinct:
			s.seen[c.pos] = uint64(r.Values[i])
		case Sum, Max:
			s.values[c.pos] = r.Values[i]
			row |= r.Units & (15 << (4 * i))
		case Events:
			row |= 1 << (4 * i)
		}
	}
	return row
}
