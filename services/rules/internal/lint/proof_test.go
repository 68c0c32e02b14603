package lint

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
)

// source generates conditions over few fields and few constants, so that they
// often exclude or imply each other.
type source struct{ *rand.Rand }

func (s source) pick(options ...string) string { return options[s.IntN(len(options))] }

func (s source) cond(depth int, inItem bool) string {
	if depth <= 0 {
		return s.leaf(inItem)
	}
	switch s.IntN(8) {
	case 0, 1, 2:
		return "(" + s.cond(depth-1, inItem) + " and " + s.cond(depth-1, inItem) + ")"
	case 3, 4:
		return "(" + s.cond(depth-1, inItem) + " or " + s.cond(depth-1, inItem) + ")"
	case 5:
		return "not " + s.cond(depth-1, inItem)
	case 6:
		if !inItem {
			return s.pick("any", "all") + " item in items (" + s.cond(depth-1, true) + ")"
		}
	}
	return s.leaf(inItem)
}

func (s source) leaf(inItem bool) string {
	compare := s.pick("==", "!=", "<", "<=", ">", ">=")
	number := s.pick("0", "1", "2", "3")
	switch s.IntN(14) {
	case 0:
		return "amount " + compare + " " + s.pick("1.00 CNY", "2.00 CNY", "2.00 USD")
	case 1:
		return s.pick("is_3ds", "not is_3ds", "is_3ds == true")
	case 2:
		return s.pick("card", "email", "lower(email)") + " " + s.pick("==", "!=", "contains", "starts_with", "ends_with", "<", ">=") + " " + s.pick(`"a"`, `"ab"`, `"b"`, `""`)
	case 3:
		return s.pick("card", "email") + s.pick(" ", " not ") + "in " + s.pick(`["a", "b"]`, `["a"]`, `["ab", "b", ""]`, "list @l")
	case 4:
		return s.pick("card", "email") + " matches " + s.pick("/^a/", "/a/", "/^a*$/", "/b$/")
	case 5:
		return s.pick("amount", "card", "email", "billing.city", "attempts", "channel", "hour(at)") + " is " + s.pick("", "not ") + "missing"
	case 6:
		return s.pick(`channel == "APP"`, `channel != "WEB"`, `channel in ["WEB"]`, `channel not in ["APP", "WEB"]`)
	case 7:
		return "ip" + s.pick(" ", " not ") + "in cidr " + s.pick("10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16", "[10.1.0.0/16, 2001:db8::/32]")
	case 8:
		return "risk " + compare + " " + s.pick("0.5", "0.0", "1", "-0.0")
	case 9:
		return s.pick("card == email", "card != email", "email == card", "attempts < paid_orders", "paid_orders > attempts", "attempts >= paid_orders",
			"paid_orders == paid_orders", "amount < amount", "3 > 2", "2.5 < 1.0", "true", `"a" contains "b"`)
	case 10:
		return s.pick("hour(at)", "length(card)", "f32", "big", "count(order by card over 1h)", "abs(delta)") + " " + compare + " " + s.pick("0", "23", "1", "-1")
	case 11:
		if inItem {
			return s.pick(`item.category == "a"`, `item.category != "a"`, "item.price > 1.00 CNY", "item.count != 2", "item.count is missing",
				"item.count > 2", `"x" in item.tags`, `any t in item.tags (t == "a" and t == "x")`)
		}
	}
	operand := s.pick("paid_orders", "attempts", "delta", "attempts + paid_orders", "attempts default 2")
	if s.IntN(3) == 0 {
		return operand + s.pick(" ", " not ") + "in " + s.pick("[1, 2, 3]", "0..2", "[0, 3]", "1..1")
	}
	return operand + " " + compare + " " + number
}

func (s source) fact() string {
	var fields []string
	maybe := func(options ...string) {
		if s.IntN(4) > 0 {
			fields = append(fields, s.pick(options...))
		}
	}
	amount := func() string {
		return fmt.Sprintf(`{"minor": %d, "currency": %q}`, s.IntN(5)*100, s.pick("CNY", "USD", "EUR"))
	}
	maybe(`"amount": `+amount(), `"amount": {}`)
	maybe(`"card": "a"`, `"card": ""`, `"card": "ab"`, `"card": "c"`)
	maybe(`"email": "a"`, `"email": "b"`, `"email": "AB"`)
	maybe(`"is_3ds": true`)
	maybe(`"channel": "CHANNEL_APP"`, `"channel": "CHANNEL_WEB"`, `"channel": 9`)
	maybe(`"paid_orders": 2`, `"paid_orders": 1`, `"paid_orders": 7`, `"paid_orders": 3`)
	maybe(`"attempts": 0`, `"attempts": -1`, `"attempts": 3`, `"attempts": 1`)
	maybe(`"delta": -1`, `"delta": 3`)
	maybe(`"risk": 0.5`, `"risk": -0.0`, `"risk": 0.7`, `"risk": "-Infinity"`, `"risk": "NaN"`)
	maybe(`"ip": "10.1.2.3"`, `"ip": "10.9.2.3"`, `"ip": "no"`, `"ip": "2001:db8::1"`, `"ip": "192.168.1.1"`)
	maybe(`"billing": {}`, `"billing": {"country": "a", "city": ""}`)
	maybe(`"at": 1795284000000000`, `"at": 1795366799000000`)
	maybe(`"f32": 1`, `"big": "18446744073709551615"`)
	items := []string{`{}`, `{"category": "a", "price": ` + amount() + `}`, `{"count": 2, "tags": ["x", "a"]}`, `{"category": "b", "tags": ["ab"], "count": 3}`}
	s.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	fields = append(fields, `"items": [`+strings.Join(items[:s.IntN(3)], ",")+`]`)
	return "{" + strings.Join(fields, ", ") + "}"
}

// TestWhatIsSaidOfTruthIsTrue judges generated conditions on generated facts:
// what is never true must not hold, what is always true must not be false, and
// where one is said to imply another they must hold together.
func TestWhatIsSaidOfTruthIsTrue(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := list.New([]string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	lists := &list.Registry{}
	lists.Set("l", entries)
	random := source{rand.New(rand.NewPCG(3, 5))}
	facts, texts := make([][]byte, 120), make([]string, 120)
	for i := range facts {
		texts[i] = random.fact()
		if facts[i], err = schema.FromJSON([]byte(texts[i])); err != nil {
			t.Fatalf("%s: %v", texts[i], err)
		}
	}
	never, always, implied := 0, 0, 0
	for range 4000 {
		a, b := random.cond(3, false), random.cond(2, false)
		text := fmt.Sprintf("rule a when %s then deny\nrule b when %s then deny", a, b)
		file, faults := syntax.Parse(text)
		if len(faults) > 0 {
			t.Fatalf("%s: %+v", text, faults)
		}
		set, faults := check.Check(file, schema, lists)
		if len(faults) > 0 {
			t.Fatalf("%s: %+v", text, faults)
		}
		l := linter{file: file, set: set, schema: schema, builder: builder{map[string]*variable{}}}
		x, y := set.Rules[0].When, set.Rules[1].When
		f, g := l.builder.build(x, false), l.builder.build(y, false)
		s, u := l.subject(set.Rules[0], f), l.subject(set.Rules[1], g)
		isNever, isAlways, implies := f.never(), f.always(), f.implies(g)
		if s.ok && u.ok && s.within(&u) && !isNever {
			implies = true
		}
		if isNever {
			never++
		}
		if isAlways && !isNever {
			always++
		}
		if implies && !isNever && !g.always() {
			implied++
		}
		if !isNever && !isAlways && !implies {
			continue
		}
		holdsX, refutedX, holdsY := program.Compile(x), program.Refute(x), program.Compile(y)
		frame := program.NewFrame(set.Addrs)
		for i, data := range facts {
			if err := set.Layout.Decode(data, &frame.Record); err != nil {
				t.Fatal(err)
			}
			for _, counter := range set.Counters {
				first(frame, counter)
			}
			switch {
			case isNever && holdsX(frame):
				t.Fatalf("%s\nis said to be never true, but is of\n%s", a, texts[i])
			case isAlways && refutedX(frame):
				t.Fatalf("%s\nis said to be always true, but is not of\n%s", a, texts[i])
			case implies && holdsX(frame) && !holdsY(frame):
				t.Fatalf("%s\nis said to imply\n%s\nbut does not for\n%s", a, b, texts[i])
			}
			frame.Reset()
		}
	}
	if never < 100 || always < 40 || implied < 25 {
		t.Errorf("%d never true, %d always true, %d implied: the generator is too tame", never, always, implied)
	}
}

// TestRedundantPartsChangeNothing takes away what is said to be redundant and
// compares.
func TestRedundantPartsChangeNothing(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	lists := &list.Registry{}
	entries, err := list.New([]string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	lists.Set("l", entries)
	random := source{rand.New(rand.NewPCG(11, 5))}
	facts, texts := make([][]byte, 80), make([]string, 80)
	for i := range facts {
		texts[i] = random.fact()
		if facts[i], err = schema.FromJSON([]byte(texts[i])); err != nil {
			t.Fatal(err)
		}
	}
	found := 0
	for range 4000 {
		parts := []string{random.cond(1, false), random.cond(0, false), random.cond(0, false)}
		word := random.pick(" and ", " or ")
		file, faults := syntax.Parse("rule a when " + strings.Join(parts, word) + " then deny")
		if len(faults) > 0 {
			t.Fatalf("%v: %+v", parts, faults)
		}
		set, faults := check.Check(file, schema, lists)
		if len(faults) > 0 {
			t.Fatalf("%v: %+v", parts, faults)
		}
		whole := set.Rules[0].When
		for _, finding := range Check(file, set, schema) {
			if finding.Name != redundant {
				continue
			}
			rest := *whole
			rest.Args = nil
			for _, arg := range whole.Args {
				if arg.Source == nil || arg.Source.ExprSpan() != finding.Span {
					rest.Args = append(rest.Args, arg)
				}
			}
			if len(rest.Args) != len(whole.Args)-1 {
				continue // it was deeper
			}
			found++
			with, without := program.Compile(whole), program.Compile(&rest)
			frame := program.NewFrame(set.Addrs)
			for i, data := range facts {
				if err := set.Layout.Decode(data, &frame.Record); err != nil {
					t.Fatal(err)
				}
				for _, counter := range set.Counters {
					first(frame, counter)
				}
				if with(frame) != without(frame) {
					t.Fatalf("%s: %s, but it does for %s", file.Source, finding.Message, texts[i])
				}
				frame.Reset()
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d redundant parts: the generator is too tame", found)
	}
}

// TestSetsOfNumbers compares sets with what their operations mean.
func TestSetsOfNumbers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func() ints {
		var numbers []int64
		for range random.IntN(6) {
			numbers = append(numbers, int64(random.IntN(12)))
		}
		s := points(numbers)
		if random.IntN(2) == 0 {
			s = s.complement()
		}
		return s
	}
	has := func(s ints, n int64) bool { return between(n, n).within(s) }
	for range 2000 {
		a, b := some(), some()
		within := true
		for n := int64(-2); n < 14; n++ {
			if has(a.meet(b), n) != (has(a, n) && has(b, n)) || has(a.complement(), n) == has(a, n) {
				t.Fatalf("%v %v: wrong of %d", a, b, n)
			}
			within = within && (!has(a, n) || has(b, n))
		}
		if a.within(b) != within {
			t.Fatalf("%v within %v: %v", a, b, a.within(b))
		}
	}
}
