package counting

import (
	"time"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

var kinds = map[velocity.Kind]rulesv1.VelocityField_Kind{
	velocity.Events:   rulesv1.VelocityField_KIND_EVENTS,
	velocity.Sum:      rulesv1.VelocityField_KIND_SUM,
	velocity.Max:      rulesv1.VelocityField_KIND_MAX,
	velocity.Distinct: rulesv1.VelocityField_KIND_DISTINCT,
}

var kindsFromProto = func() map[rulesv1.VelocityField_Kind]velocity.Kind {
	inverse := map[rulesv1.VelocityField_Kind]velocity.Kind{}
	for kind, message := range kinds {
		inverse[message] = kind
	}
	return inverse
}()

// tableList collects the tables that the records of a message are of.
type tableList struct {
	store  *velocity.Store
	index  map[uint16]uint32
	tables []*rulesv1.VelocityTable
	fields [][]velocity.Field
}

func newTableList(store *velocity.Store) *tableList {
	return &tableList{store: store, index: map[uint16]uint32{}}
}

func (l *tableList) add(table uint16) uint32 {
	if i, known := l.index[table]; known {
		return i
	}
	described := l.store.TableAt(table)
	message := &rulesv1.VelocityTable{
		Scope: described.Scope, By: described.By, Part: uint32(described.Part),
		Units: described.Units, Windows: described.Windows,
	}
	for _, field := range described.Fields {
		message.Fields = append(message.Fields, &rulesv1.VelocityField{Of: field.Of, Kind: kinds[field.Kind]})
	}
	i := uint32(len(l.tables))
	l.index[table] = i
	l.tables = append(l.tables, message)
	l.fields = append(l.fields, described.Fields)
	return i
}

func (l *tableList) record(r *velocity.Record) *rulesv1.VelocityRecord {
	table := l.add(r.Table)
	message := &rulesv1.VelocityRecord{
		Table: table, KeyHigh: r.High, KeyLow: r.Low, At: r.At, Event: r.Event,
		Columns: uint32(r.Columns), Units: r.Units,
	}
	for i, field := range l.fields[table] {
		if r.Columns>>i&1 == 1 && field.Kind != velocity.Events {
			message.Values = append(message.Values, r.Values[i])
		}
	}
	return message
}

func batchToProto(store *velocity.Store, epoch string, batch []position) *rulesv1.VelocityBatch {
	list := newTableList(store)
	message := &rulesv1.VelocityBatch{Epoch: epoch, First: batch[0].at, Records: make([]*rulesv1.VelocityRecord, len(batch))}
	for i := range batch {
		message.Records[i] = list.record(&batch[i].record)
	}
	message.Tables = list.tables
	return message
}

// translation is a table of a message in this store.
type translation struct {
	*velocity.Translation
	fields []velocity.Field
}

func translate(store *velocity.Store, tables []*rulesv1.VelocityTable, since int64) ([]translation, error) {
	all := make([]translation, len(tables))
	for i, message := range tables {
		described := velocity.Table{
			Scope: message.GetScope(), By: message.GetBy(), Part: int(message.GetPart()),
			Units: message.GetUnits(), Windows: message.GetWindows(),
		}
		for _, field := range message.GetFields() {
			kind, known := kindsFromProto[field.GetKind()]
			if !known {
				return nil, velocity.ErrMalformed
			}
			described.Fields = append(described.Fields, velocity.Field{Of: field.GetOf(), Kind: kind})
		}
		x, err := store.Translate(described, since)
		if err != nil {
			return nil, err
		}
		all[i] = translation{x, described.Fields}
	}
	return all, nil
}

// recordFromProto is false for a record that is malformed. It may have no
// column that is counted here.
func recordFromProto(message *rulesv1.VelocityRecord, translations []translation) (velocity.Record, bool) {
	if int(message.GetTable()) >= len(translations) || message.GetAt() < 0 || message.GetAt() > 1<<32-1 {
		return velocity.Record{}, false
	}
	x := translations[message.GetTable()]
	r := velocity.Record{
		High: message.GetKeyHigh(), Low: message.GetKeyLow(), At: message.GetAt(), Event: message.GetEvent(),
		Columns: uint16(message.GetColumns()), Units: message.GetUnits(),
	}
	values := message.GetValues()
	for i, field := range x.fields {
		if r.Columns>>i&1 == 0 || field.Kind == velocity.Events {
			continue
		}
		if len(values) == 0 {
			return velocity.Record{}, false
		}
		r.Values[i], values = values[0], values[1:]
	}
	return x.Record(&r), true
}

func readingToProto(r *velocity.Reading) *rulesv1.VelocityReading {
	return &rulesv1.VelocityReading{Count: r.Count, Value: r.Value, Distinct: r.Distinct, Overflow: r.Overflow, Warming: r.Warming}
}

func readingFromProto(m *rulesv1.VelocityReading) velocity.Reading {
	return velocity.Reading{Count: m.GetCount(), Value: m.GetValue(), Distinct: m.GetDistinct(), Overflow: m.GetOverflow(), Warming: m.GetWarming()}
}

func seconds(window time.Duration) int64 { return int64(window / time.Second) }
