package fact

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/backlot-video/backlot/services/rules/internal/facttest"
)

// sameText decodes a text both ways. slow tells whether protobuf was asked.
func sameText(t *testing.T, text *Text, readings []reading, raw string) (slow bool) {
	t.Helper()
	var record Record
	layout := text.layout
	layout.reset(&record)
	reader := textReader{text: []byte(raw), of: text}
	slow = reader.message(text.root, &record, 0, true) != nil || reader.end() != nil
	_, err := text.Decode([]byte(raw), &record)
	m := dynamicpb.NewMessage(layout.schema.desc)
	if problem := protojson.Unmarshal([]byte(raw), m); problem != nil {
		if err == nil && !strings.Contains(raw, "blob") { // which is not read
			t.Fatalf("%s\nprotobuf says %v", raw, problem)
		}
		return slow
	}
	if err != nil {
		t.Fatalf("%s\nprotobuf reads it: %v", raw, err)
	}
	wire, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	canonical := dynamicpb.NewMessage(layout.schema.desc)
	if err := proto.Unmarshal(wire, canonical); err != nil {
		t.Fatal(err)
	}
	compare(t, &record, 0, readings, canonical)
	return slow
}

func TestTextAgreesWithProtobuf(t *testing.T) {
	schema, _ := New(facttest.Order(), Config{})
	layout, readings := everything(t, schema)
	text := NewText(layout, TextConfig{})
	for raw, slow := range map[string]bool{
		strings.Replace(orderJSON, `"session": "1.5s", `, "", 1): false,
		orderJSON: true,
		`{}`:      false,
		` { "card":"", "ip" : "" , "at":0, "channel":0, "is_3ds":false, "risk":0, "ratio":-0.0, "attempts":0, "delta":-0, "email":"\u00e4\ud83d\ude00\n" } `: false,
		`{"channel":"CHANNEL_UNSPECIFIED","seen":[0,2,"CHANNEL_APP"],"items":[],"labels":[],"codes":[1,"2",3],"amount":{}}`:                                  false,
		`{"card":null,"amount":null,"items":null,"wallet":null,"voucher":3,"billing":{"floor":"7","city":null},"blob":"AAA="}`:                               false,
		`{"wallet":"a"}`: false, `{"voucher":"1","wallet":"a"}`: true, `{"card":"a","card":"b"}`: true,
		`{"at":1e3}`: true, `{"at":1.5}`: true, `{"at":01}`: true, `{"delta":2147483648}`: true, `{"big":18446744073709551615}`: false,
		`{"ratio":1e300}`: true, `{"risk":1e300}`: false, `{"risk":"NaN"}`: true, `{"card":"\ud800"}`: true, "{\"card\":\"\xff\"}": true,
		`{"labels":[null]}`: true, `{"amuont":1}`: true, `{"card":"a"} x`: true, `{"card":"a",}`: true, `[]`: true, ``: true, `{"is_3ds":"true"}`: true,
		`{"paid_at":"2026-11-21T18:00:00.123456789+08:00"}`: false, `{"paid_at":"2026-11-21T18:00:00,5Z"}`: true, `{"paid_at":"1969-01-01T00:00:00Z"}`: true,
	} {
		if got := sameText(t, text, readings, raw); got != slow {
			t.Errorf("%s: slow is %v", raw, got)
		}
	}
}

func TestTextFindsAFurtherField(t *testing.T) {
	schema, _ := New(facttest.Order(), Config{})
	layout, _ := everything(t, schema)
	text := NewText(layout, TextConfig{Extra: "verdict"})
	var record Record
	for raw, want := range map[string]string{
		`{"verdict":"deny","card":"a"}`: "deny", `{"card":"a"}`: "", `{"card":"a","verdict":{"x":[1]}}`: "",
	} {
		if got, err := text.Decode([]byte(raw), &record); got != want || err != nil {
			t.Errorf("%s: %q %v", raw, got, err)
		}
	}
	known := NewText(layout, TextConfig{Extra: "email"})
	if got, err := known.Decode([]byte(`{"email":"deny"}`), &record); got != "deny" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestTextIgnoresUnknownFields(t *testing.T) {
	schema, _ := New(facttest.Order(), Config{})
	layout, _ := everything(t, schema)
	text := NewText(layout, TextConfig{IgnoreUnknown: true})
	var record Record
	for _, raw := range []string{`{"x":[{}],"billing":{"y":1}}`, `{"x":1,"session":"1s"}`} {
		if _, err := text.Decode([]byte(raw), &record); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestTextDoesNotAllocate(t *testing.T) {
	schema, _ := New(facttest.Order(), Config{})
	layout, _ := everything(t, schema)
	text, raw := NewText(layout, TextConfig{}), []byte(strings.Replace(orderJSON, `"session": "1.5s", `, "", 1))
	var record Record
	if allocs := testing.AllocsPerRun(100, func() {
		if _, err := text.Decode(raw, &record); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkText(b *testing.B) {
	schema, _ := New(facttest.Order(), Config{})
	layout, _ := everything(b, schema)
	text, raw := NewText(layout, TextConfig{}), []byte(strings.Replace(orderJSON, `"session": "1.5s", `, "", 1))
	var record Record
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := text.Decode(raw, &record); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzText(f *testing.F) {
	schema, _ := New(facttest.Order(), Config{})
	layout, readings := everything(f, schema)
	f.Add(orderJSON)
	f.Add(`{"paid_at":"2026-11-21T18:00:00.5Z","wallet":"\u00e4","seen":[0,"CHANNEL_APP"],"risk":-0.5e-3,"items":[{"from":{}}]}`)
	f.Fuzz(func(t *testing.T, raw string) { sameText(t, NewText(layout, TextConfig{}), readings, raw) })
}
