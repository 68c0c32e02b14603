package fact

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/backlot-video/backlot/services/rules/internal/facttest"
)

const orderJSON = `{
 "amount": {"minor": "60000", "currency": "CNY"}, "ip": "10.1.2.3", "at": "1795284000000000",
 "account_age": "172800000000", "is_3ds": true, "risk": 0.25, "channel": "CHANNEL_APP",
 "items": [{"category": "giftcard", "price": {"minor": 5, "currency": "USD"}, "tags": ["a", "b"], "from": {"floor": 3}}, {"count": "0"}],
 "billing": {"country": "CN", "city": ""}, "labels": ["vip", ""], "codes": ["1", "-2"],
 "paid_at": "2026-11-21T18:00:00.5Z", "session": "1.5s", "voucher": "7", "delta": -3, "big": "18446744073709551615",
 "f32": 4294967295, "ratio": 0.5, "seen": ["CHANNEL_WEB", "CHANNEL_UNSPECIFIED"]
}`

// everything returns a layout that reads every readable field of a message,
// two messages deep, and what it reads in order.
func everything(t testing.TB, schema *Schema) (*Layout, []reading) {
	layout := NewLayout(schema)
	var all []reading
	collect(t, schema, layout, layout.Root(), schema.desc, nil, &all)
	layout.Seal()
	return layout, all
}

type reading struct {
	path []protoreflect.FieldDescriptor
	kind Kind
	slot int
	elem []reading
}

func collect(t testing.TB, s *Schema, l *Layout, scope *Scope, desc protoreflect.MessageDescriptor, prefix []protoreflect.FieldDescriptor, all *[]reading) {
	for i := range desc.Fields().Len() {
		field := desc.Fields().Get(i)
		path := append(append([]protoreflect.FieldDescriptor{}, prefix...), field)
		kind := s.KindOf(field)
		switch kind {
		case Invalid:
			continue
		case Message:
			collect(t, s, l, scope, field.Message(), path, all)
			continue
		default:
		}
		slot, err := l.Slot(scope, path...)
		if err != nil {
			t.Fatal(err)
		}
		r := reading{path: path, kind: kind, slot: slot}
		if kind == List {
			if elem := l.Elem(scope, path...); s.ElemKind(field) == Message {
				collect(t, s, l, elem, field.Message(), nil, &r.elem)
			} else {
				r.elem = []reading{{kind: s.ElemKind(field)}}
			}
		}
		*all = append(*all, r)
	}
}

// oracle reads a value by protobuf reflection.
func (r *reading) oracle(m protoreflect.Message) Slot {
	for _, field := range r.path[:len(r.path)-1] {
		if !m.Has(field) {
			return Slot{}
		}
		m = m.Get(field).Message()
	}
	field := r.path[len(r.path)-1]
	if r.kind == List {
		return Slot{OK: true, N: int64(m.Get(field).List().Len())}
	}
	present := m.Has(field)
	if !field.HasPresence() {
		switch r.kind {
		case Bool, Int, Float, Duration:
			present = true
		default:
		}
	}
	if !present {
		return Slot{}
	}
	return oracleValue(r.kind, m.Get(field))
}

func oracleValue(kind Kind, v protoreflect.Value) Slot {
	switch x := v.Interface().(type) {
	case bool:
		if x {
			return Slot{N: 1, OK: true}
		}
		return Slot{OK: true}
	case int32:
		return Slot{N: int64(x), OK: true}
	case int64:
		return Slot{N: x, OK: true}
	case uint32:
		return Slot{N: int64(x), OK: true}
	case uint64:
		if x > math.MaxInt64 {
			return Slot{}
		}
		return Slot{N: int64(x), OK: true}
	case float32:
		if x != x {
			return Slot{}
		}
		return Slot{N: int64(math.Float64bits(float64(x))), OK: true}
	case float64:
		if x != x {
			return Slot{}
		}
		return Slot{N: int64(math.Float64bits(x)), OK: true}
	case string:
		return Slot{S: x, OK: true}
	case protoreflect.EnumNumber:
		return Slot{N: int64(x), OK: true}
	case protoreflect.Message:
		fields := x.Descriptor().Fields()
		a, b := x.Get(fields.Get(0)).Int(), x.Get(fields.Get(1))
		if kind == Money {
			return Slot{N: a, S: b.String(), OK: true}
		}
		if a > math.MaxInt64/1_000_000-1 || a < 1-math.MaxInt64/1_000_000 || b.Int() >= 1e9 || b.Int() <= -1e9 {
			return Slot{}
		}
		return Slot{N: a*1_000_000 + b.Int()/1000, OK: true}
	}
	return Slot{}
}

// compare checks a decoded scope against reflection on the same message.
func compare(t *testing.T, record *Record, base int, readings []reading, m protoreflect.Message) {
	for i := range readings {
		r := &readings[i]
		got, want := record.Slots[base+r.slot], r.oracle(m)
		name := r.path[len(r.path)-1].FullName()
		if r.kind != List {
			if got != want {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
			continue
		}
		parent := m
		for _, field := range r.path[:len(r.path)-1] {
			if !parent.Has(field) {
				if got != (Slot{}) {
					t.Errorf("%s: got %+v in a missing message", name, got)
				}
				return
			}
			parent = parent.Get(field).Message()
		}
		list := parent.Get(r.path[len(r.path)-1]).List()
		at := got.First()
		for j := range list.Len() {
			if at == 0 {
				t.Fatalf("%s: %d elements, want %d", name, j, list.Len())
			}
			if r.elem[0].path == nil {
				if got, want := record.Slots[at+1], oracleValue(r.elem[0].kind, list.Get(j)); got.N != want.N || got.S != want.S || got.OK != want.OK && want.N|int64(len(want.S)) != 0 {
					t.Errorf("%s[%d]: got %+v, want %+v", name, j, got, want)
				}
			} else {
				compare(t, record, at+1, r.elem, list.Get(j).Message())
			}
			at = int(record.Slots[at].N)
		}
		if at != 0 || !got.OK {
			t.Errorf("%s: more than %d elements, or missing", name, list.Len())
		}
	}
}

func TestDecodeAgreesWithReflection(t *testing.T) {
	schema, err := New(facttest.Order(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	layout, readings := everything(t, schema)
	for _, text := range []string{orderJSON, `{}`, `{"billing": {}, "wallet": "w"}`} {
		data, err := schema.FromJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var record Record
		if err := layout.Decode(data, &record); err != nil {
			t.Fatal(err)
		}
		m := dynamicpb.NewMessage(schema.desc)
		if err := proto.Unmarshal(data, m); err != nil {
			t.Fatal(err)
		}
		compare(t, &record, 0, readings, m)
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	schema, _ := New(facttest.Order(), Config{})
	layout, _ := everything(t, schema)
	data, _ := schema.FromJSON([]byte(orderJSON))
	var record Record
	allocs := testing.AllocsPerRun(100, func() {
		if err := layout.Decode(data, &record); err != nil {
			t.Fatal(err)
		}
		record.Reset()
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestDecodeRefusesBadFacts(t *testing.T) {
	schema, _ := New(facttest.Order(), Config{})
	layout, _ := everything(t, schema)
	many := []byte{}
	for range MaxElements + 1 {
		many = protowire.AppendTag(many, 7, protowire.BytesType)
		many = protowire.AppendBytes(many, nil)
	}
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"truncated":     {[]byte{0x0a, 5, 1}, ErrMalformed},
		"bad tag":       {[]byte{0xff}, ErrMalformed},
		"not UTF-8":     {[]byte{0x1a, 1, 0xff}, ErrMalformed},
		"elements":      {many, ErrTooLarge},
		"bytes":         {make([]byte, MaxBytes+1), ErrTooLarge},
		"money in half": {[]byte{0x0a, 1, 8}, ErrMalformed},
	} {
		var record Record
		if err := layout.Decode(test.data, &record); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFromJSONNamesUnknownFields(t *testing.T) {
	schema, _ := New(facttest.Order(), Config{})
	_, err := schema.FromJSON([]byte(`{"amuont": 1}`))
	if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "amuont") {
		t.Errorf("got %v", err)
	}
}

func TestSchemaInfersKinds(t *testing.T) {
	schema, err := New(facttest.Order(), Config{Kinds: map[protoreflect.FullName]Kind{"test.OrderFact.paid_orders": Duration}})
	if err != nil {
		t.Fatal(err)
	}
	fields := facttest.Order().Fields()
	for name, want := range map[protoreflect.Name]Kind{
		"amount": Money, "at": Time, "account_age": Duration, "paid_orders": Duration, "attempts": Int,
		"paid_at": Time, "session": Duration, "items": List, "billing": Message, "channel": Enum, "blob": Invalid,
	} {
		if got := schema.KindOf(fields.ByName(name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if schema.Event() != "order" || schema.Time() == nil || schema.Time().Name() != "at" {
		t.Errorf("event %q, time %v", schema.Event(), schema.Time())
	}
	if _, err := New(facttest.Order(), Config{Time: "card"}); !errors.Is(err, ErrSchema) {
		t.Errorf("a string as time: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	schema, _ := New(facttest.Order(), Config{})
	layout, readings := everything(f, schema)
	data, _ := schema.FromJSON([]byte(orderJSON))
	f.Add(data)
	f.Add([]byte{0x98, 1, 7, 0xa0, 1, 1, 0x9a, 1, 1, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		var record Record
		err := layout.Decode(data, &record)
		m := dynamicpb.NewMessage(schema.desc)
		if proto.Unmarshal(data, m) != nil {
			return // stricter about fields that are not read, never about those that are
		}
		if err != nil {
			t.Fatalf("protobuf reads it: %v", err)
		}
		// A second occurrence of a time replaces the first here, in protobuf
		// both merge: times are compared where nothing is repeated.
		compared := readings
		if canonical, _ := proto.Marshal(m); len(canonical) != len(data) {
			compared = slices.DeleteFunc(slices.Clone(readings), func(r reading) bool {
				return r.path[0].Kind() == protoreflect.MessageKind && (r.kind == Time || r.kind == Duration)
			})
		}
		compare(t, &record, 0, compared, m)
	})
}
