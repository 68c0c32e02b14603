package program

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// truth is Kleene's third value made plain: the oracle computes with it, the
// compiled closures never do.
type truth int

const (
	no truth = iota
	maybe
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// oracle evaluates a condition by walking its nodes, without pushing `not`.
func oracle(n *check.Node, f *Frame) truth {
	switch n.Op {
	case check.Not:
		return yes - oracle(n.Args[0], f)
	case check.And, check.Or:
		result := yes
		if n.Op == check.Or {
			result = no
		}
		for _, arg := range n.Args {
			if n.Op == check.And {
				result = min(result, oracle(arg, f))
			} else {
				result = max(result, oracle(arg, f))
			}
		}
		return result
	case check.Any, check.All:
		list := f.slot(n.Args[0].Depth, n.Args[0].Slot)
		if !list.OK {
			return maybe
		}
		result := truthOf(n.Op == check.All)
		for at := list.First(); at != 0; at = int(f.Record.Slots[at].N) {
			f.bases[n.Depth] = at + 1
			if body := oracle(n.Args[1], f); n.Op == check.All {
				result = min(result, body)
			} else {
				result = max(result, body)
			}
		}
		return result
	case check.IsMissing:
		return truthOf(!number(n.Args[0], f).ok)
	case check.Const, check.Field, check.Default:
		v := number(n, f)
		if !v.ok {
			return maybe
		}
		return truthOf(v.n.Sign() != 0)
	default:
		return oracleLeaf(n, f)
	}
}

func oracleLeaf(n *check.Node, f *Frame) truth {
	switch n.Op {
	case check.EndsWith, check.InNets, check.InList, check.Matches:
		return closures(n, f)
	default:
		if n.Args[0].Type.Kind == fact.Float || hasCalendar(n) {
			return closures(n, f)
		}
	}
	x := number(n.Args[0], f)
	if !x.ok {
		return maybe
	}
	switch n.Op {
	case check.InInts:
		_, in := n.Ints[x.n.Int64()]
		return truthOf(in)
	case check.InStrings:
		return truthOf(slices.Contains(n.Set, x.s))
	case check.InElements:
		list := f.slot(n.Args[1].Depth, n.Args[1].Slot)
		if !list.OK {
			return maybe
		}
		for at := list.First(); at != 0; at = int(f.Record.Slots[at].N) {
			if f.Record.Slots[at+1].S == x.s {
				return yes
			}
		}
		return no
	default:
	}
	y := number(n.Args[1], f)
	if !y.ok || x.unit != y.unit {
		return maybe
	}
	order := x.n.Cmp(y.n)
	if x.text {
		order = strings.Compare(x.s, y.s)
	}
	switch n.Op {
	case check.Contains:
		return truthOf(strings.Contains(x.s, y.s))
	case check.StartsWith:
		return truthOf(strings.HasPrefix(x.s, y.s))
	default:
		return truthOf(holds(n.Op, order))
	}
}

// closures evaluates what the oracle has no arithmetic for as it was before
// there was an index.
func closures(n *check.Node, f *Frame) truth {
	switch {
	case Compile(n)(f):
		return yes
	case Refute(n)(f):
		return no
	}
	return maybe
}

func hasCalendar(n *check.Node) bool {
	switch n.Op {
	case check.Hour, check.Weekday, check.Day, check.Month, check.Lower, check.Length:
		return true
	default:
		return slices.ContainsFunc(n.Args, hasCalendar)
	}
}

// value is a number of any size, an amount or a string.
type value struct {
	n       *big.Int
	s, unit string
	text    bool
	ok      bool
}

func number(n *check.Node, f *Frame) value {
	fromSlot := func(s fact.Slot) value {
		v := value{n: big.NewInt(s.N), ok: s.OK}
		if n.Type.Kind == fact.String {
			v.s, v.text = s.S, true
		} else {
			v.unit = s.S
		}
		return v
	}
	switch n.Op {
	case check.Const:
		return fromSlot(n.Value)
	case check.Field:
		return fromSlot(*f.slot(n.Depth, n.Slot))
	case check.Default:
		if v := number(n.Args[0], f); v.ok {
			return v
		}
		return number(n.Args[1], f)
	case check.Convert:
		v := number(n.Args[0], f)
		if !v.ok {
			return value{n: new(big.Int)}
		}
		minor, result := f.Rates.Convert(v.n.Int64(), v.unit, n.Value.S)
		return value{n: big.NewInt(minor), unit: n.Value.S, ok: result == rate.OK}
	case check.Neg:
		v := number(n.Args[0], f)
		return fits(v, new(big.Int).Neg(v.n))
	default:
	}
	x, y := number(n.Args[0], f), number(n.Args[1], f)
	if !x.ok || !y.ok || n.Type.Kind == fact.Money && n.Op != check.Mul && n.Op != check.Div && x.unit != y.unit {
		return value{n: new(big.Int)}
	}
	if x.unit == "" {
		x.unit = y.unit
	}
	switch n.Op {
	case check.Add:
		return fits(x, new(big.Int).Add(x.n, y.n))
	case check.Sub:
		return fits(x, new(big.Int).Sub(x.n, y.n))
	case check.Mul:
		return fits(x, new(big.Int).Mul(x.n, y.n))
	default:
	}
	if y.n.Sign() == 0 {
		return value{n: new(big.Int)}
	}
	if n.Op == check.Mod {
		return fits(x, new(big.Int).Rem(x.n, y.n))
	}
	return fits(x, new(big.Int).Quo(x.n, y.n))
}

// rates lack JPY.
func rates(t *testing.T) *rate.Table {
	t.Helper()
	table, err := rate.New("", "USD", map[string]string{"CNY": "0.4"})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func fits(v value, n *big.Int) value {
	v.n, v.ok = n, v.ok && n.IsInt64()
	return v
}

// source generates conditions.
type source struct{ *rand.Rand }

func (s source) pick(options ...string) string { return options[s.IntN(len(options))] }

func (s source) cond(depth int, inItem bool) string {
	if depth <= 0 {
		return s.leaf(inItem)
	}
	switch s.IntN(9) {
	case 0, 1:
		return "(" + s.cond(depth-1, inItem) + " and " + s.cond(depth-1, inItem) + ")"
	case 2, 3:
		return "(" + s.cond(depth-1, inItem) + " or " + s.cond(depth-1, inItem) + " or " + s.cond(depth-2, inItem) + ")"
	case 4, 5:
		return "not " + s.cond(depth-1, inItem)
	case 6:
		return "((" + s.cond(depth-1, inItem) + ") == (" + s.cond(depth-2, inItem) + "))"
	case 7:
		if !inItem {
			return s.pick("any", "all") + " item in items (" + s.cond(depth-1, true) + ")"
		}
	}
	return s.leaf(inItem)
}

func (s source) leaf(inItem bool) string {
	compare := s.pick("==", "!=", "<", "<=", ">", ">=")
	if s.IntN(3) == 0 {
		return s.common(compare)
	}
	switch s.IntN(9) {
	case 0:
		return s.pick("amount", "amount default 3.00 CNY", "-amount", "amount * 3", "amount / attempts", "amount - 2.00 USD", "convert(amount, USD)", "convert(amount, JPY)", "convert(3.00 USD, CNY)") + " " + compare + " " + s.pick("1.00 CNY", "3.00 USD", "amount + 1.00 CNY", "amount")
	case 1:
		return s.pick("is_3ds", "(is_3ds != true)")
	case 2:
		return s.pick("card", "email", "card default \"b\"") + " " + s.pick("contains", "starts_with", compare) + " " + s.pick("\"a\"", "\"\"", "email", "billing.country")
	case 3:
		return s.pick("amount", "card", "email", "billing.city", "attempts", "channel", "(amount + 1.00 USD)") + " is " + s.pick("", "not ") + "missing"
	case 4:
		return s.pick("channel == \"APP\"", "channel != \"WEB\"", "channel in [\"WEB\"]", "channel not in [\"APP\", \"WEB\"]")
	case 5:
		return s.pick("card", "email") + s.pick(" ", " not ") + "in " + s.pick("[\"a\", \"b\"]", "labels")
	case 6:
		if inItem {
			return s.pick("item.category == \"a\"", "item.price > 1.00 CNY", "item.count != 2", "item.count is missing", "\"x\" in item.tags",
				"item.from.country != billing.country", "any t in item.tags (t == card)")
		}
	}
	ints := func() string {
		return s.pick("paid_orders", "attempts", "delta", "attempts + paid_orders", "attempts * 9223372036854775807", "paid_orders % attempts",
			"-delta", "paid_orders / delta", "5", "attempts default 4", "paid_orders - 9223372036854775807 - 5")
	}
	if s.IntN(4) == 0 {
		return ints() + s.pick(" ", " not ") + "in " + s.pick("[1, 2, 3]", "0..2", "[0,1,2,3,4,5,6,7,8,9,-1]")
	}
	return ints() + " " + compare + " " + ints()
}

// common is a leaf of a form that the index knows.
func (s source) common(compare string) string {
	switch s.IntN(13) {
	case 0:
		return "amount " + compare + " " + s.pick("1.00 CNY", "2.00 USD", "3.00 CNY")
	case 1:
		return "amount in " + s.pick("1.00 CNY..3.00 CNY", "0.00 USD..2.00 USD", "[1.00 CNY, 2.00 USD]")
	case 2:
		return "ip " + s.pick("in", "not in") + " cidr " + s.pick("10.0.0.0/8", "10.1.0.0/16", "[10.0.0.0/9, 2001:db8::/32]", "2001:db8::/96", "::/0")
	case 3:
		return "hour(at, \"Asia/Shanghai\") " + s.pick("in 1..4", "== 10", "> 20", "not in 3..22")
	case 4:
		return s.pick("weekday", "day", "month") + "(at) " + compare + " " + s.pick("3", "7", "11", "22")
	case 5:
		return "risk " + compare + " " + s.pick("0.5", "-0.25", "0", "0.0")
	case 6:
		return s.pick("card", "email", "ip") + " " + s.pick("starts_with", "ends_with", "contains") + " " + s.pick("\"a\"", "\"ab\"", "\"abc\"", "\"10.\"", "\"b\"")
	case 7:
		return s.pick("email", "card") + " matches " + s.pick("/^a/", "/abc+/", "/b$/", "/(abc|b)/", "/a.c/")
	case 8:
		return s.pick("email", "ip") + s.pick(" ", " not ") + "in list @" + s.pick("known", "other")
	case 9:
		return s.pick("length(email)", "length(items)", "length(card)") + " " + compare + " " + s.pick("0", "1", "2")
	case 10:
		return "lower(email) " + s.pick("== \"abc\"", "starts_with \"a\"", "in [\"abc\", \"b\"]")
	case 11:
		return s.pick("paid_orders + attempts * 2", "paid_orders * 3 + attempts * 5", "paid_orders - attempts", "paid_orders * 2 - attempts * 3", "paid_orders + attempts") + s.pick(" > 2", " >= 9", " > 1000", " <= 3") +
			s.pick("", " and amount + amount * 2 > 3.00 CNY", " and amount * 4 + amount * 3 >= 5.00 USD")
	default:
		return s.pick("paid_orders", "attempts") + s.pick(" in 1..3", " in [2, 7, 9]", " == 2", " > 1", " >= 3", " < 3")
	}
}

func (s source) fact() string {
	var fields []string
	maybe := func(options ...string) {
		if s.IntN(3) > 0 {
			fields = append(fields, s.pick(options...))
		}
	}
	amount := func() string {
		return fmt.Sprintf(`{"minor": %d, "currency": %q}`, s.IntN(5)*100, s.pick("CNY", "USD"))
	}
	maybe(`"amount": `+amount(), `"amount": {}`)
	maybe(`"card": "a"`, `"card": ""`, `"card": "ab"`)
	maybe(`"email": "a"`, `"email": "b"`, `"email": "xabcc"`, `"email": "ABC"`)
	maybe(`"is_3ds": true`)
	maybe(`"ip": "10.1.2.3"`, `"ip": "10.200.0.1"`, `"ip": "2001:db8::5"`, `"ip": "a"`, `"ip": "2001:db9::"`)
	maybe(`"at": "1795284000000000"`, `"at": "1795300000000000"`, `"at": "-5"`, `"at": "4102444800000001"`)
	maybe(`"risk": 0.5`, `"risk": -0.0`, `"risk": -0.25`, `"risk": 1e300`)
	maybe(`"channel": "CHANNEL_APP"`, `"channel": "CHANNEL_WEB"`, `"channel": 9`)
	maybe(`"paid_orders": 2`, `"paid_orders": -9223372036854775808`, `"paid_orders": 7`, `"paid_orders": 4398046511104`)
	maybe(`"attempts": 0`, `"attempts": -1`, `"attempts": 3`)
	maybe(`"delta": -1`, `"delta": 3`)
	maybe(`"billing": {}`, `"billing": {"country": "a", "city": ""}`)
	maybe(`"labels": ["a"]`, `"labels": ["b", ""]`)
	items := []string{`{}`, `{"category": "a", "price": ` + amount() + `}`, `{"count": 2, "tags": ["x", "a"]}`, `{"from": {"country": "a"}, "tags": ["ab"], "count": 1}`}
	s.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	fields = append(fields, `"items": [`+strings.Join(items[:s.IntN(3)], ",")+`]`)
	return "{" + strings.Join(fields, ", ") + "}"
}

// TestClosuresAgreeWithThreeValuedLogic compares generated conditions with the
// oracle on generated facts. A failure prints the seed's source and fact.
func TestClosuresAgreeWithThreeValuedLogic(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	random := source{rand.New(rand.NewPCG(7, 7))}
	facts := make([][]byte, 50)
	texts := make([]string, len(facts))
	for i := range facts {
		texts[i] = random.fact()
		if facts[i], err = schema.FromJSON([]byte(texts[i])); err != nil {
			t.Fatalf("%s: %v", texts[i], err)
		}
	}
	counts := map[truth]int{}
	for range 700 {
		text := random.cond(4, false)
		file, faults := syntax.Parse("rule r when " + text + " then deny")
		if len(faults) > 0 {
			t.Fatalf("%s: %+v", text, faults)
		}
		set, faults := check.Check(file, schema, lists(t))
		if len(faults) > 0 {
			t.Fatalf("%s: %+v", text, faults)
		}
		node := set.Rules[0].When
		holds, refuted := Compile(node), Refute(node)
		frame := NewFrame(set.Addrs)
		frame.Rates = rates(t)
		for i, data := range facts {
			if err := set.Layout.Decode(data, &frame.Record); err != nil {
				t.Fatal(err)
			}
			want := oracle(node, frame)
			counts[want]++
			if got := holds(frame); got != (want == yes) {
				t.Fatalf("%s\nof %s\nis %v, want %d", text, texts[i], got, want)
			}
			if got := refuted(frame); got != (want == no) {
				t.Fatalf("not (%s)\nof %s\nis %v, want %d", text, texts[i], got, want)
			}
			frame.Reset()
		}
	}
	for _, outcome := range []truth{no, maybe, yes} {
		if counts[outcome] < 2_000 {
			t.Errorf("outcome %d only %d times: the generator is too tame", outcome, counts[outcome])
		}
	}
}

func lists(t *testing.T) *list.Registry {
	t.Helper()
	registry := &list.Registry{}
	for name, entries := range map[string][]string{"known": {"a", "abc", "10.1.0.0/16"}, "other": {"b", "2001:db8::/32"}} {
		built, err := list.New(entries)
		if err != nil {
			t.Fatal(err)
		}
		registry.Set(name, built)
	}
	return registry
}

// TestIndexAgreesWithThreeValuedLogic compares which rules of generated sets
// fire with what the oracle says of each rule.
func TestIndexAgreesWithThreeValuedLogic(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	fired := 0
	for seed := range uint64(60) {
		random := source{rand.New(rand.NewPCG(seed, 11))}
		facts, texts := make([][]byte, 30), make([]string, 30)
		for i := range facts {
			texts[i] = random.fact()
			if facts[i], err = schema.FromJSON([]byte(texts[i])); err != nil {
				t.Fatalf("%s: %v", texts[i], err)
			}
		}
		var rules strings.Builder
		for i := range 80 {
			fmt.Fprintf(&rules, "rule r%d when %s then deny\n", i, random.cond(random.IntN(4), false))
		}
		file, faults := syntax.Parse(rules.String())
		if len(faults) > 0 {
			t.Fatalf("%+v", faults)
		}
		set, faults := check.Check(file, schema, lists(t))
		if len(faults) > 0 {
			t.Fatalf("%+v", faults)
		}
		var sample *Sample
		if seed%2 == 0 {
			sample = NewSample(schema, facts[:10])
		}
		builder := NewBuilder(sample, 0, 0)
		builder.all = seed%3 != 0
		order := make([]int32, len(set.Rules))
		for i, rule := range set.Rules {
			builder.Add(i, rule.When)
			order[i] = int32(len(order) - 1 - i)
		}
		index, frame := builder.Build(order, set.Layout.Root().Extra), NewFrame(set.Addrs)
		frame.Rates = rates(t)
		for i, data := range facts {
			frame.Reset()
			if err := set.Layout.Decode(data, &frame.Record); err != nil {
				t.Fatal(err)
			}
			var want []int32
			for k := len(set.Rules) - 1; k >= 0; k-- {
				if oracle(set.Rules[k].When, frame) == yes {
					want = append(want, order[k])
				}
			}
			for range 2 {
				if got := index.Fire(frame); !slices.Equal(got, want) {
					t.Fatalf("seed %d, fact %s: fired %v, want %v: %s", seed, texts[i], got, want, explain(set, got, want))
				}
			}
			fired += len(want)
		}
	}
	if fired < 20_000 {
		t.Errorf("only %d firings: the generator is too tame", fired)
	}
}

// explain shows a rule that one of two firing sets has and the other lacks.
func explain(set *check.Set, got, want []int32) string {
	for number := range set.Rules {
		if slices.Contains(got, int32(number)) != slices.Contains(want, int32(number)) {
			return syntax.Text(set.Rules[len(set.Rules)-1-number].When.Source)
		}
	}
	return ""
}
