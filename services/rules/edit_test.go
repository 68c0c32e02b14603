package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// draft is a source that is edited at random.
type draft struct {
	*rand.Rand
	parts []string
	next  int
}

func (d *draft) rule() string {
	d.next++
	pick := func(options ...string) string { return options[d.IntN(len(options))] }
	condition := func() string {
		return pick(
			fmt.Sprintf("paid_orders > %d", d.IntN(5)), fmt.Sprintf("amount > %d.00 CNY", d.IntN(5)), `card == "a"`, `card in ["b", "c"]`,
			fmt.Sprintf("attempts * %d + paid_orders > 3", 1+d.IntN(3)), "is_3ds", `any i in items (i.category == "a" and i.count > 1)`,
			`email matches /^a.*b$/`, `ip in cidr 10.0.0.0/8`, `ip in list @own`, `hour(at) in 1..12`, "risk > 0.5", `billing.country != shipping.country`,
			fmt.Sprintf("count(order by card over %dm) > 1", 1+d.IntN(3)), "delta == 3", `device == "d"`, "length(labels) > 1", `"x" in labels`,
			`lower(email) == "ab"`, "sum(amount by card over 1h) > 3.00 CNY",
		)
	}
	text := condition()
	for range d.IntN(3) {
		text += pick(" and ", " or ") + condition()
	}
	return fmt.Sprintf("rule r%d %s%s\n  when %s\n  then %s score %d", d.next, pick("", "priority 3 ", `"title" `),
		pick("", "shadow", "canary 50% by email"), text, pick("allow", "challenge", "review", "deny"), d.IntN(9))
}

func (d *draft) source() string { return strings.Join(d.parts, "\n") + "\n" }

func (d *draft) edit() {
	for range 1 + d.IntN(3) {
		at := d.IntN(len(d.parts))
		switch d.IntN(8) {
		case 0:
			d.parts = append(d.parts[:at], append([]string{d.rule()}, d.parts[at:]...)...)
		case 1:
			if strings.HasPrefix(d.parts[at], "rule") {
				d.parts = append(d.parts[:at], d.parts[at+1:]...)
			}
		case 2:
			d.parts = append(d.parts[:at], append([]string{"# a comment\n"}, d.parts[at:]...)...)
		case 3:
			d.parts[at] = strings.Replace(d.parts[at], "score ", "score 1", 1)
		case 4:
			if at+1 < len(d.parts) {
				d.parts[at], d.parts[at+1] = d.parts[at+1], d.parts[at]
			}
		case 5: // mostly a fault
			d.parts[at] = strings.Replace(d.parts[at], "when", "when unknown == 5 and", 1)
		default:
			if strings.HasPrefix(d.parts[at], "rule") {
				d.parts[at] = d.rule()
			}
		}
	}
}

func describeAll(p *Program, facts []string) string {
	var b strings.Builder
	for _, text := range facts {
		var d Decision
		if err := p.EvaluateJSON([]byte(text), &d, &Request{ReadOnly: true}); err != nil {
			return err.Error()
		}
		b.WriteString(describe(&d))
	}
	for _, result := range p.Test() {
		fmt.Fprintf(&b, "\n%d %s %s", result.Line, result.Name, result.Failure)
	}
	for _, rule := range p.Rules() {
		fmt.Fprintf(&b, "\n%s %s %s %d %d %s line %d", rule.Name, rule.Title, rule.Action, rule.Score, rule.Priority, rule.Reason, rule.Line)
	}
	fmt.Fprintf(&b, "\ncost %d", p.Cost())
	return b.String()
}

// TestEditIsCompile edits sources at random and compares with compiling them. A
// failure prints its seed.
func TestEditIsCompile(t *testing.T) {
	facts := []string{
		benchFact, `{}`, `{"card": "a", "paid_orders": 4, "ip": "10.0.0.1", "email": "ab", "amount": {"minor": 900, "currency": "CNY"}}`,
		`{"card": "b", "attempts": 9, "labels": ["x", "y"], "items": [{"category": "a", "count": 2}], "delta": 3, "device": "d", "risk": 0.9}`,
	}
	edited, failed := 0, 0
	for seed := range uint64(25) {
		d := &draft{Rand: rand.New(rand.NewPCG(seed, 3)), parts: []string{`list @own = ["10.0.0.1", "z"]`}}
		for range 80 {
			d.parts = append(d.parts, d.rule())
		}
		d.parts = append(d.parts, "test \"one\" given { paid_orders: 4 } expect deny because r7", "test \"two\" given { card: \"a\" } expect allow")
		options := &Options{Lists: &list.Registry{}, Counters: velocity.New(velocity.Config{}), Scope: "s", Version: "v"}
		program, err := Compile("edit", d.source(), orderSchema(t), options)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for step := range 25 {
			before := append([]string(nil), d.parts...)
			d.edit()
			want, wantErr := Compile("edit", d.source(), orderSchema(t), options)
			got, gotErr := program.Edit(d.source(), "v")
			if fmt.Sprint(wantErr) != fmt.Sprint(gotErr) {
				t.Fatalf("seed %d, step %d: %v, compiled: %v", seed, step, gotErr, wantErr)
			}
			if gotErr != nil {
				failed++
				d.parts = before
				continue
			}
			if len(got.layers) == 2 {
				edited++
			}
			if got, want := describeAll(got, facts), describeAll(want, facts); got != want {
				t.Fatalf("seed %d, step %d of\n%s\ngot  %s\nwant %s", seed, step, d.source(), got, want)
			}
			program = got
		}
	}
	if allocs := editedAllocations(t); allocs > tolerated {
		t.Errorf("%v allocations", allocs)
	}
	if edited < 200 || failed < 50 {
		t.Errorf("only %d edits in place and %d faults: the generator is too tame", edited, failed)
	}
}

// editedAllocations counts those of judging a fact by a program of two layers.
func editedAllocations(t *testing.T) float64 {
	t.Helper()
	var source strings.Builder
	for i := range 100 {
		fmt.Fprintf(&source, "rule r%d when paid_orders > %d and card == \"c%d\" then deny\n", i, i, i%7)
	}
	program, err := Compile("edit", source.String(), orderSchema(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	program, err = program.Edit(source.String()+"rule last when paid_orders == 3 then review\n", "")
	if err != nil || len(program.layers) != 2 {
		t.Fatalf("%d layers, %v", len(program.layers), err)
	}
	data, err := program.Schema().FromJSON([]byte(`{"paid_orders": 3, "card": "c1"}`))
	if err != nil {
		t.Fatal(err)
	}
	var d Decision
	allocs := testing.AllocsPerRun(200, func() {
		if err := program.Evaluate(data, &d, nil); err != nil {
			t.Fatal(err)
		}
	})
	if got := describe(&d); got != "deny score 0\n  r1 deny\n  last review" {
		t.Errorf("got %s", got)
	}
	return allocs
}

// TestEditKnowsNames edits step by step: a name that was given up can be taken
// again, one that is in force cannot, in whichever layer it is.
func TestEditKnowsNames(t *testing.T) {
	rule := func(name string) string { return "rule " + name + " when paid_orders > 1 then deny\n" }
	var source strings.Builder
	for i := range 100 {
		source.WriteString(rule(fmt.Sprintf("r%d", i)))
	}
	source.WriteString("test \"t\" given { paid_orders: 2 } expect deny because r9\n")
	program, err := Compile("edit", source.String(), orderSchema(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	text := source.String()
	for i, step := range []struct {
		old, with string
		fault     string
	}{
		{rule("r5"), rule("other"), ""},
		{rule("r7"), rule("other"), "rule 'other' is defined twice"},
		{rule("r7"), rule("r8"), "rule 'r8' is defined twice"},
		{rule("r7"), rule("r5"), ""}, // given up by the first step
		{rule("r8"), rule("r5"), "rule 'r5' is defined twice"},
		{rule("r9"), "", "unknown rule 'r9'"},
		{rule("other"), rule("r7"), ""},
		{rule("r5"), "\n\n" + rule("r5"), ""},
	} {
		next := strings.Replace(text, step.old, step.with, 1)
		edited, err := program.Edit(next, "")
		if step.fault != "" {
			if err == nil || !strings.Contains(err.Error(), step.fault) {
				t.Errorf("step %d: %v", i, err)
			}
			continue
		}
		if err != nil || len(edited.layers) != 2 {
			t.Fatalf("step %d: %d layers, %v", i, len(edited.layers), err)
		}
		compiled, err := Compile("edit", next, orderSchema(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := describeAll(edited, nil), describeAll(compiled, nil); got != want {
			t.Errorf("step %d: %s\nwant %s", i, got, want)
		}
		program, text = edited, next
	}
}
