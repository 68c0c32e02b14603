package differential

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/bench/internal/describe"
)

// fields are those of a fact, by kind. Names tell our language what is a time
// and what is a duration.
var fields = map[kind][]string{
	boolean: {"p", "q", "n.p"}, integer: {"a", "b", "c", "k", "n.i"}, decimal: {"x", "y", "n.x"}, text: {"s", "t", "u", "n.s"},
	amount: {"m", "w", "n.m"}, duration: {"d_age", "e_age"}, instant: {"at", "due_at"},
}

// elementFields are those of an element of items, by kind.
var elementFields = map[kind][]string{
	boolean: {"p"}, integer: {"i"}, decimal: {"x"}, text: {"s"}, amount: {"m"},
}

func factDescriptor() (protoreflect.MessageDescriptor, error) {
	return describe.File("differential",
		describe.Message{Name: "Money", Fields: "minor:int64 currency:string"},
		describe.Message{Name: "Nest", Fields: "p:bool i:int64 x:double s:string m:Money"},
		describe.Message{Name: "Item", Fields: "p:bool i:int64 x:double s:string m:Money tags:string* codes:int64*"},
		describe.Message{Name: "Fact", Fields: "p:bool q:bool a:int64 b:int64 c:int64 k:int64 x:double y:double s:string t:string u:string m:Money w:Money " +
			"d_age:int64 e_age:int64 at:int64 due_at:int64 n:Nest items:Item* codes:int64* tags:string*"},
	)
}

// element is a fact, an element of items, or an element of a list of values,
// which is under the empty name.
type element map[string]value

// numbers are what overflows, what does not, and what is often equal.
var numbers = []int64{
	0, 0, 0, 0, 1, 1, 2, 3, 3, 4, 5, 7, 10, 12, 60, 99, 100, -1, -1, -2, -5, -10, -100, 1000, 86_400_000_000, math.MaxInt32, math.MinInt32,
	1<<53 + 1, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1, 3_037_000_500, -3_037_000_500,
}

var decimals = []float64{0, 0.5, 1, 1, 1.5, 2, 3, -0.5, -1, -2.25, 10, 100, 0.1, 0.3, 12.75, 1e6, 9007199254740993, -1e9, 1e300, -1e300, 1e-300, 9.3e18}

var words = []string{
	"a", "b", "ab", "abc", "ABC", "Abc", "card", "cardinal", "vip@example.com", "x@y.org", "中文", "中", "支付宝", "Straße", "naïve", "0", "00", "10.1.2.3", "a b", `q"uote`, `back\slash`, "tab\there", "line\nbreak", "zzz", "mañana", "é", "😀",
}

var patterns = []string{
	"^a", "c$", "[0-9]+", "^[a-z]+$", "^.{2}$", "@.*[.](com|org)$", "(?i)abc", "a|中", `^\w+$`, "^$", "b.*c", `\d+[.]\d+`, "[A-Z]", "^(ab)+c?$",
}

// epoch is near the times of facts.
var epoch = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

var zoneNames = map[string]string{"Asia/Shanghai": "shanghai", "America/New_York": "new_york", "UTC": "utc", "Australia/Lord_Howe": "lord_howe"}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func moment(r *rand.Rand) int64 {
	return epoch + (r.Int64N(2*365*86_400)-365*86_400)*1_000_000 + r.Int64N(2)*r.Int64N(1_000_000)
}

func length(r *rand.Rand) int64 {
	return pick(r, []int64{0, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000, 7 * 86_400_000_000, -3_600_000_000, 1, math.MaxInt64})
}

// randomFact returns a fact in which nothing is missing.
func randomFact(r *rand.Rand) element {
	e := element{}
	for k, names := range fields {
		for _, name := range names {
			e[name] = random(r, k)
		}
	}
	items := []element{}
	for range r.IntN(4) {
		item := element{"tags": list(r, text), "codes": list(r, integer)}
		for k, names := range elementFields {
			item[names[0]] = random(r, k)
		}
		items = append(items, item)
	}
	e["items"], e["tags"], e["codes"] = value{list: items}, list(r, text), list(r, integer)
	return e
}

func list(r *rand.Rand, k kind) value {
	var v value
	for range r.IntN(4) {
		v.list = append(v.list, element{"": random(r, k)})
	}
	return v
}

func random(r *rand.Rand, k kind) value {
	switch k {
	case boolean:
		return value{n: bit(r.IntN(2) == 0)}
	case decimal:
		return value{f: pick(r, decimals)}
	case text:
		return value{s: pick(r, words)}
	case duration:
		return value{n: length(r)}
	case instant:
		return value{n: moment(r)}
	default:
		return value{n: pick(r, numbers)}
	}
}

// message is the fact as protobuf's JSON.
func (e element) message() ([]byte, error) {
	root := map[string]any{"n": map[string]any{}}
	for k, names := range fields {
		for _, name := range names {
			into, field := root, name
			if len(name) > 2 && name[:2] == "n." {
				into, field = root["n"].(map[string]any), name[2:]
			}
			into[field] = e[name].json(k)
		}
	}
	items := []any{}
	for _, item := range e["items"].list {
		one := map[string]any{"tags": item["tags"].texts(), "codes": item["codes"].numbers()}
		for k, names := range elementFields {
			one[names[0]] = item[names[0]].json(k)
		}
		items = append(items, one)
	}
	root["items"], root["tags"], root["codes"] = items, e["tags"].texts(), e["codes"].numbers()
	return json.Marshal(root)
}

func (v value) json(k kind) any {
	switch k {
	case boolean:
		return v.n != 0
	case decimal:
		return v.f
	case text:
		return v.s
	case amount:
		return map[string]any{"minor": fmt.Sprint(v.n), "currency": "CNY"}
	default:
		return fmt.Sprint(v.n)
	}
}

func (v value) texts() []string {
	texts := []string{}
	for _, e := range v.list {
		texts = append(texts, e[""].s)
	}
	return texts
}

func (v value) numbers() []string {
	texts := []string{}
	for _, e := range v.list {
		texts = append(texts, fmt.Sprint(e[""].n))
	}
	return texts
}
