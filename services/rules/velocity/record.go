package velocity

import "slices"

// Record is an event as it is counted for one key, or a question of one. Its
// columns are those of its table, by number.
type Record struct {
	Table     uint16
	High, Low uint64 // hash of the key
	At        int64  // Unix seconds
	Event     uint64 // hash of the event's id; 0 for none
	Columns   uint16 // bit by column: those that count
	Units     uint64 // 4 bits by column: 1 + the number of its unit, or 0
	Values    [maxColumns]int64
}

// Partition is the part of the keys that the record's belongs to.
func (r *Record) Partition() int { return keyHash{r.High, r.Low}.partition() }

// Log keeps what is counted, for a replay. Append is called with a partition
// locked, in the order in which the partition counts; it must not call the
// store and copies what it keeps.
type Log interface{ Append(r *Record) }

// Table describes a table in terms that hold in every store of one secret.
type Table struct {
	Scope, By string
	Part      int
	Fields    []Field  // its columns
	Units     []string // by number
	Windows   []int64  // in seconds
}

// Tables describes all tables, in the order of their numbers.
func (s *Store) Tables() []Table {
	tables := *s.tables.Load()
	all := make([]Table, len(tables))
	for i, t := range tables {
		all[i] = t.describe()
	}
	return all
}

// TableAt describes one table.
func (s *Store) TableAt(number uint16) Table { return (*s.tables.Load())[number].describe() }

func (t *table) describe() Table {
	state := t.state.Load()
	d := Table{Scope: t.scope, By: t.by, Part: t.part, Units: slices.Clone(state.units)}
	for _, c := range state.columns {
		d.Fields = append(d.Fields, c.Field)
	}
	for _, w := range state.windows {
		d.Windows = append(d.Windows, int64(w.length))
	}
	return d
}

// Translation turns records of another store's table into this store's.
type Translation struct {
	store   *Store
	table   *table
	columns []int
	units   []uint64 // nibble for each of the other's units
}

// Translate makes what a table of another store has known here. What is new is
// taken as counted since a Unix second.
func (s *Store) Translate(d Table, since int64) (*Translation, error) {
	if len(d.Fields) > maxColumns || len(d.Units) > maxUnits || d.Part < 0 || d.Part >= maxParts {
		return nil, ErrMalformed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table(tableName{d.Scope, d.By, d.Part})
	if t == nil {
		return nil, ErrMalformed
	}
	x := &Translation{store: s, table: t}
	state := t.state.Load()
	for _, field := range d.Fields {
		if field.Kind > Distinct {
			return nil, ErrMalformed
		}
		if state.find(field) < 0 && len(state.columns) == maxColumns {
			x.columns = append(x.columns, -1) // not counted here
			continue
		}
		state = state.withColumn(field, since)
		x.columns = append(x.columns, state.find(field))
	}
	for _, length := range d.Windows {
		if length < 1 || length > maxWindow {
			return nil, ErrMalformed
		}
		state = state.withWindow(newWindowOf(uint32(length), s.config.Steps), since)
	}
	for _, unit := range d.Units {
		next, nibble := state.withUnit(unit)
		state = next
		x.units = append(x.units, nibble)
	}
	t.state.Store(state)
	return x, nil
}

// Record translates a record. Columns that are not counted here are left out.
func (x *Translation) Record(r *Record) Record {
	out := Record{Table: x.table.id, High: r.High, Low: r.Low, At: r.At, Event: r.Event}
	for i, column := range x.columns {
		if r.Columns>>i&1 == 0 || column < 0 {
			continue
		}
		out.Columns |= 1 << column
		out.Values[column] = r.Values[i]
		if unit := r.Units >> (4 * i) & 15; unit > 0 && int(unit) <= len(x.units) {
			out.Units |= x.units[unit-1] << (4 * column)
		}
	}
	return out
}

// Replay counts a record that was counted before, and does not log it. An
// event that is known is not counted again.
func (s *Store) Replay(r *Record) { s.apply(r, applying{add: true, replay: true}) }

// Group is a Group of the translated table; the Field of a query is a column
// of the other store's. It is false where one is not counted here.
func (x *Translation) Group(queries []Query) (*Group, bool) {
	state := x.table.state.Load()
	g := &Group{Scope: x.table.scope, By: x.table.by, table: x.table}
	for _, query := range queries {
		if query.Field < 0 || query.Field >= len(x.columns) || x.columns[query.Field] < 0 {
			return nil, false
		}
		column := x.columns[query.Field]
		at := slices.Index(g.columns, column)
		if at < 0 {
			at = len(g.columns)
			g.columns = append(g.columns, column)
			g.Fields = append(g.Fields, state.columns[column].Field)
		}
		g.Queries = append(g.Queries, Query{at, query.Window})
	}
	g.finish(x.store.config.Steps)
	return g, true
}

// Column is the column of its table that a query of a group reads.
func (g *Group) Column(query int) int { return g.columns[g.Queries[query].Field] }
