package backtest

import (
	"math"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// conversion turns the values of a column into those of a field, kept in a
// slot's N; nil where they do not fit together.
func conversion(at node, desc protoreflect.FieldDescriptor, kind fact.Kind) func(*parquet.Value) (int64, bool) {
	switch kind {
	case fact.Bool:
		if at.Type().Kind() == parquet.Boolean {
			return func(v *parquet.Value) (int64, bool) {
				if v.Boolean() {
					return 1, true
				}
				return 0, true
			}
		}
		return nil
	case fact.Float:
		return decimal(at)
	case fact.Enum:
		return member(at, desc)
	case fact.Time:
		return instant(at)
	default:
		return number(at)
	}
}

// number reads whole numbers; those above int64 are missing.
func number(at node) func(*parquet.Value) (int64, bool) {
	unsigned := false
	if logical := at.Type().LogicalType(); logical != nil {
		integer, ok := logical.Value.(*format.IntType)
		if !ok {
			return nil
		}
		unsigned = !integer.IsSigned
	}
	switch at.Type().Kind() {
	case parquet.Int32:
		if unsigned {
			return func(v *parquet.Value) (int64, bool) { return int64(v.Uint32()), true }
		}
		return func(v *parquet.Value) (int64, bool) { return int64(v.Int32()), true }
	case parquet.Int64:
		if unsigned {
			return func(v *parquet.Value) (int64, bool) { n := v.Int64(); return n, n >= 0 }
		}
		return func(v *parquet.Value) (int64, bool) { return v.Int64(), true }
	default:
		return nil
	}
}

// decimal reads floating point, and whole numbers as such. NaN is missing.
func decimal(at node) func(*parquet.Value) (int64, bool) {
	bits := func(f float64) (int64, bool) { return int64(math.Float64bits(f)), !math.IsNaN(f) }
	switch at.Type().Kind() {
	case parquet.Double:
		return func(v *parquet.Value) (int64, bool) { return bits(v.Double()) }
	case parquet.Float:
		return func(v *parquet.Value) (int64, bool) { return bits(float64(v.Float())) }
	default:
	}
	whole := number(at)
	if whole == nil {
		return nil
	}
	return func(v *parquet.Value) (int64, bool) {
		n, ok := whole(v)
		if !ok {
			return 0, false
		}
		return bits(float64(n))
	}
}

// member reads enums by name or number; a name that is not known is missing.
func member(at node, desc protoreflect.FieldDescriptor) func(*parquet.Value) (int64, bool) {
	if at.Type().Kind() != parquet.ByteArray {
		return number(at)
	}
	known := map[string]int64{}
	values := desc.Enum().Values()
	for i := range values.Len() {
		known[string(values.Get(i).Name())] = int64(values.Get(i).Number())
	}
	return func(v *parquet.Value) (int64, bool) {
		raw := v.ByteArray()
		n, ok := known[unsafe.String(unsafe.SliceData(raw), len(raw))]
		return n, ok
	}
}

// instant reads times as Unix microseconds: timestamps of any unit, and plain
// numbers, which are microseconds.
func instant(at node) func(*parquet.Value) (int64, bool) {
	if at.Type().Kind() != parquet.Int64 {
		return nil
	}
	times, by := int64(1), int64(1)
	if logical := at.Type().LogicalType(); logical != nil {
		timestamp, ok := logical.Value.(*format.TimestampType)
		if !ok {
			return number(at)
		}
		switch timestamp.Unit.Value.(type) {
		case *format.MilliSeconds:
			times = 1000
		case *format.NanoSeconds:
			by = 1000
		}
	}
	return func(v *parquet.Value) (int64, bool) {
		n := v.Int64()
		if n > math.MaxInt64/times || n < math.MinInt64/times {
			return 0, false
		}
		micros := n * times / by
		if n < 0 && n%by != 0 {
			micros--
		}
		return micros, true
	}
}
