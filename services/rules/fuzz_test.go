package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// FuzzPrograms makes valid rulesets and facts of random bytes. Each must
// compile; a rule must fire in its set when it does alone, whatever sample the
// compiler has seen and however the source is printed; and judging must not
// allocate.
func FuzzPrograms(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		data := make([]byte, 40+random.IntN(400))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
	schema := orderSchema(f)
	known, err := list.New([]string{"a", "ab", "10.0.0.0/8", "2001:db8::/32"})
	if err != nil {
		f.Fatal(err)
	}
	lists := &list.Registry{}
	lists.Set("known", known)
	// One store will do, for nothing is counted.
	clock := func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }
	counters := velocity.New(velocity.Config{Clock: clock})
	options := func() *Options { return &Options{Lists: lists, Counters: counters, Budget: 1 << 40} }
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &chooser{data: data}
		sources := make([]string, 1+c.n(12))
		conditions := make([]string, len(sources))
		for i := range sources {
			conditions[i] = c.cond(1+c.n(4), 0)
			sources[i] = c.rule(i, conditions[i])
		}
		source := strings.Join(sources, "\n")
		facts := make([][]byte, 4)
		for i := range facts {
			wire, err := schema.FromJSON([]byte(c.fact()))
			if err != nil {
				t.Fatal(err)
			}
			facts[i] = wire
		}
		whole := compiled(t, source, options())
		want := make([][]string, len(facts))
		for i, wire := range facts {
			want[i] = fired(t, whole, wire)
		}
		sampled := options()
		sampled.Sample = NewSample(schema, facts)
		formatted, err := Format("fuzz", source, Chinese)
		if err != nil {
			t.Fatalf("%v\n%s", err, source)
		}
		others := map[string][]*Program{"sampled": {compiled(t, source, sampled)}, "formatted": {compiled(t, formatted, options())}}
		for _, one := range sources {
			others["alone"] = append(others["alone"], compiled(t, one, options()))
		}
		for i, wire := range facts {
			for how, programs := range others {
				var got []string
				for _, program := range programs {
					got = append(got, fired(t, program, wire)...)
				}
				if slices.Sort(got); !slices.Equal(got, want[i]) {
					t.Fatalf("%s: fired %v, as a set %v\n%s\nfact %x", how, got, want[i], source, wire)
				}
			}
		}
		for i, text := range conditions {
			bare(t, text, fmt.Sprintf("r%d", i), options(), facts, want)
		}
		steady(t, whole, facts, source)
	})
}

// bare compiles a condition without its rule, which must hold where the rule
// fired.
func bare(t *testing.T, text, rule string, options *Options, facts [][]byte, fired [][]string) {
	t.Helper()
	condition, err := CompileCondition("fuzz", text, orderSchema(t), options)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	event := condition.NewEvent()
	for i, wire := range facts {
		if err := condition.Decode(wire, event); err != nil {
			t.Fatal(err)
		}
		condition.Observe(event, &Request{ReadOnly: true})
		if got, want := condition.Holds(event), slices.Contains(fired[i], rule); got != want {
			t.Fatalf("holds: %v, its rule: %v\n%s\nfact %x", got, want, text, wire)
		}
	}
}

func compiled(t *testing.T, source string, options *Options) *Program {
	t.Helper()
	program, err := Compile("fuzz", source, orderSchema(t), options)
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	return program
}

// fired returns the names of the rules that fired, sorted.
func fired(t *testing.T, program *Program, wire []byte) []string {
	t.Helper()
	var d Decision
	if err := program.Evaluate(wire, &d, &Request{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, rule := range slices.Concat(d.Fired, d.Shadow) {
		names = append(names, rule.Name)
	}
	slices.Sort(names)
	return names
}

// steady judges the facts again and again: it must not allocate, and must say
// the same.
func steady(t *testing.T, program *Program, facts [][]byte, source string) {
	t.Helper()
	event, request := program.NewEvent(), &Request{ReadOnly: true}
	var d Decision
	var fault error
	round := func() {
		for _, wire := range facts {
			if err := program.Decode(wire, event); err != nil {
				fault = err
			}
			program.Observe(event, request)
			program.Judge(event, &d)
			score, count := d.Score, len(d.Fired)
			program.Judge(event, &d)
			if d.Score != score || len(d.Fired) != count {
				fault = fmt.Errorf("judged again: %d rules, score %d; first %d, %d", len(d.Fired), d.Score, count, score)
			}
		}
	}
	for range 2 {
		round()
	}
	allocs := tolerated + 1.0
	for try := 0; try < 3 && allocs > tolerated; try++ { // the fuzzer itself allocates now and then
		allocs = testing.AllocsPerRun(3, round)
	}
	if allocs > tolerated || fault != nil {
		t.Fatalf("%v allocations, %v\n%s", allocs, fault, source)
	}
}

// chooser turns bytes into choices. Out of bytes it takes the first, which
// ends every recursion.
type chooser struct{ data []byte }

func (c *chooser) n(count int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % count
}

func (c *chooser) pick(options ...string) string { return options[c.n(len(options))] }

func (c *chooser) rule(i int, condition string) string {
	state := c.pick("", " live", " shadow", " canary 50% by card", " priority 5", " tags x, y")
	return fmt.Sprintf("rule r%d%s when %s then %s score %d reason R%d", i, state, condition, c.pick("allow", "challenge", "review", "deny"), i, i)
}

// cond is a condition within so many any and all over items, whose elements are
// e1, e2 and e3.
func (c *chooser) cond(depth, within int) string {
	if depth == 0 {
		return c.leaf(1, within)
	}
	switch c.n(10) {
	case 1, 2:
		return "(" + c.cond(depth-1, within) + " and " + c.cond(depth-1, within) + ")"
	case 3, 4:
		return "(" + c.cond(depth-1, within) + " or " + c.cond(depth-1, within) + ")"
	case 5:
		return "not (" + c.cond(depth-1, within) + ")"
	case 6:
		return "((" + c.cond(depth-1, within) + ") " + c.pick("==", "!=") + " (" + c.leaf(1, within) + "))"
	case 7:
		if within < 3 {
			return fmt.Sprintf("%s e%d in items (%s)", c.pick("any", "all"), within+1, c.cond(depth-1, within+1))
		}
	case 8:
		if within == 3 {
			break
		}
		return c.pick("any t in labels (t == card)", `all t in labels (t starts_with "a" or t == email)`, "any n in codes (n > paid_orders)", "all n in codes (n + 1 > attempts)", `any s in seen (s == "APP")`)
	}
	return c.leaf(2, within)
}

func (c *chooser) leaf(depth, within int) string {
	compare := c.pick("==", "!=", "<", "<=", ">", ">=")
	switch c.n(13) {
	case 1:
		return "(" + c.text(within) + " " + c.pick(compare, "contains", "starts_with", "ends_with") + " " + c.text(within) + ")"
	case 2:
		return "(" + c.amount(depth) + " " + compare + " " + c.amount(depth) + ")"
	case 3:
		return c.text(within) + " " + c.pick("matches /^a/", "matches /b$/", "matches /[0-9]+/", "matches /a.*c|b/", "matches /(?i)AB/", `in ["a", "b", "中"]`, "in labels", "in list @known", "in cidr 10.0.0.0/9", "not in [\"ab\"]")
	case 4:
		return "(" + c.decimal(depth) + " " + compare + " " + c.decimal(depth) + ")"
	case 5:
		return c.whole(depth, within) + " " + c.pick("in 0..3", "in [1, 2, 3]", "in [-9, 5, 7, 1000]", "not in 1..9", "in codes")
	case 6:
		return c.pick("channel == \"APP\"", "channel in [\"WEB\"]", "is_3ds", "risk in 0.25..0.5", "amount in 1.00 CNY..3.00 CNY", "at < paid_at", "session > 1h", "account_age < 7d", "at in 2026-01-01T00:00Z..2026-12-31T00:00Z")
	case 7:
		return c.pick("card", "amount", "channel", "attempts", "billing", "billing.city", "session", "wallet", "(amount + 1.00 USD)", "(paid_orders / delta)") + c.pick(" is missing", " is not missing")
	case 8:
		return c.pick("count(order by card over 1h)", "distinct(ip by card over 24h)", "sum(paid_orders by ip over 7d)", "max(attempts by card over 30d)") + " " + compare + " " + c.whole(depth, within)
	case 9:
		return c.pick("sum(amount by card over 1h)", "max(amount by ip over 1m)", "avg(amount by card over 24h)") + " " + compare + " " + c.amount(depth)
	}
	return "(" + c.whole(depth, within) + " " + compare + " " + c.whole(depth, within) + ")"
}

func (c *chooser) whole(depth, within int) string {
	if within > 0 && c.n(3) == 1 {
		return fmt.Sprintf("e%d.count", 1+c.n(within))
	}
	field := c.pick("paid_orders", "attempts", "delta", "big", "f32", "billing.floor", "voucher", "1", "0", "9223372036854775807", "(-3)")
	if depth == 0 {
		return field
	}
	left := field
	switch c.n(9) {
	case 1, 2:
		right := c.whole(depth-1, within)
		return "(" + left + " " + c.pick("+", "-", "*") + " " + right + ")"
	case 3:
		return "(" + left + " " + c.pick("/", "%") + " " + c.pick("paid_orders", "delta", "attempts", "7") + ")"
	case 4:
		return c.pick("min", "max") + "(" + left + ", " + c.whole(depth-1, within) + ")"
	case 5:
		return c.pick("abs(", "-(") + left + ")"
	case 6:
		return c.pick("hour", "weekday", "day", "month") + "(" + c.pick("at", "paid_at") + c.pick("", `, "Asia/Shanghai"`, `, "America/New_York"`) + ")"
	case 7:
		return "length(" + c.pick("items", "labels", "card", "lower(email)") + ")"
	case 8:
		return "(" + left + " default " + c.whole(depth-1, within) + ")"
	}
	return field
}

func (c *chooser) amount(depth int) string {
	field := c.pick("amount", "1.00 CNY", "2.00 USD", "3.00 CNY")
	if depth == 0 {
		return field
	}
	switch c.n(6) {
	case 1:
		return "(" + field + " " + c.pick("+", "-") + " " + c.amount(depth-1) + ")"
	case 2:
		return "(" + field + " * " + c.pick("3", "attempts", "9223372036854775807") + ")"
	case 3:
		return "(" + field + " / " + c.pick("3", "attempts") + ")"
	case 4:
		return "(" + field + " default " + c.amount(depth-1) + ")"
	}
	return field
}

func (c *chooser) decimal(depth int) string {
	field := c.pick("risk", "ratio", "0.5", "1.5", "(-0.25)", "0.0")
	if depth == 0 {
		return field
	}
	switch c.n(5) {
	case 1:
		return "(" + field + " " + c.pick("+", "-", "*") + " " + c.decimal(depth-1) + ")"
	case 2:
		return "(" + field + " / " + c.pick("risk", "ratio", "3.0") + ")"
	case 3:
		return "(amount / " + c.pick("amount", "2.00 CNY", "1.00 USD") + ")"
	}
	return field
}

func (c *chooser) text(within int) string {
	if within > 0 && c.n(3) == 1 {
		return fmt.Sprintf("e%d%s", 1+c.n(within), c.pick(".category", ".from.country"))
	}
	return c.pick("card", "email", "ip", "billing.country", "device", "wallet", `"a"`, `"ab"`, `"中"`, "lower(email)", `(card default "b")`)
}

func (c *chooser) fact() string {
	var fields []string
	maybe := func(options ...string) {
		if i := c.n(len(options) + 1); i > 0 {
			fields = append(fields, options[i-1])
		}
	}
	maybe(`"amount": {"minor": 100, "currency": "CNY"}`, `"amount": {"minor": 300, "currency": "USD"}`, `"amount": {}`, `"amount": {"minor": "9223372036854775807", "currency": "CNY"}`)
	maybe(`"card": "a"`, `"card": ""`, `"card": "ab"`, `"card": "中"`)
	maybe(`"ip": "10.1.2.3"`, `"ip": "2001:db8::5"`, `"ip": "a"`, `"ip": "010.1.2.3"`)
	maybe(`"at": "1795284000000000"`, `"at": "-5"`, `"at": "4102444800000001"`, `"at": "9223372036854775807"`)
	maybe(`"is_3ds": true`)
	maybe(`"risk": 0.5`, `"risk": "NaN"`, `"risk": 1e300`, `"risk": -0.0`)
	maybe(`"ratio": 1.5`, `"ratio": "Infinity"`)
	maybe(`"channel": "CHANNEL_APP"`, `"channel": "CHANNEL_WEB"`, `"channel": 9`)
	maybe(`"paid_orders": 2`, `"paid_orders": "-9223372036854775808"`, `"paid_orders": 7`)
	maybe(`"attempts": 0`, `"attempts": -1`, `"attempts": 3`)
	maybe(`"delta": -1`, `"delta": 3`)
	maybe(`"big": "18446744073709551615"`, `"big": 5`)
	maybe(`"email": "A@b.com"`, `"email": "b"`, `"email": "xabc"`)
	maybe(`"billing": {}`, `"billing": {"country": "a", "city": "", "floor": 3}`)
	maybe(`"labels": ["a"]`, `"labels": ["b", "", "中"]`)
	maybe(`"codes": [1, 2]`, `"codes": ["9223372036854775807"]`)
	maybe(`"seen": ["CHANNEL_APP"]`, `"seen": [0, 7]`)
	maybe(`"wallet": "a"`, `"voucher": 3`)
	maybe(`"paid_at": "2026-03-08T07:30:00Z"`, `"session": "7200s"`)
	items := []string{`{}`, `{"category": "a", "price": {"minor": 5, "currency": "CNY"}}`, `{"count": 2, "tags": ["x", "a"]}`, `{"from": {"country": "a"}, "count": 1}`}
	fields = append(fields, `"items": [`+strings.Join(items[:c.n(5)], ",")+`]`)
	return "{" + strings.Join(fields, ", ") + "}"
}
