package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/rules/velocity"
)

// FuzzEdit changes a source by bytes, as typing does: what Edit returns, error
// or program, must be what Compile returns.
func FuzzEdit(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		data := make([]byte, 4+random.IntN(60))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
	schema := orderSchema(f)
	clock := func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }
	options := &Options{Counters: velocity.New(velocity.Config{Clock: clock}), Version: "v"}
	base := editable(90)
	first, err := Compile("fuzz", base, schema, options)
	if err != nil {
		f.Fatal(err)
	}
	var facts [][]byte
	for _, text := range []string{`{}`, `{"paid_orders": 40, "card": "c7", "is_3ds": true, "items": [{"count": 3}]}`, `{"paid_orders": 80, "attempts": 12, "card": "c1"}`} {
		wire, err := schema.FromJSON([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		facts = append(facts, wire)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &chooser{data: data}
		program, source := first, base
		for range 1 + c.n(4) {
			source = c.splice(source)
			edited, editErr := program.Edit(source, "v")
			compiled, compileErr := Compile("fuzz", source, schema, options)
			if fmt.Sprint(editErr) != fmt.Sprint(compileErr) {
				t.Fatalf("edited: %v\ncompiled: %v\n%s", editErr, compileErr, source)
			}
			if editErr != nil {
				continue // and go on from the last good one
			}
			for _, wire := range facts {
				if got, want := told(t, edited, wire), told(t, compiled, wire); got != want {
					t.Fatalf("edited: %s\ncompiled: %s\n%s", got, want, source)
				}
			}
			if edited.Cost() != compiled.Cost() || len(edited.Rules()) != len(compiled.Rules()) || edited.Tests() != compiled.Tests() {
				t.Fatalf("cost %d of %d rules and %d tests, want %d of %d and %d", edited.Cost(), len(edited.Rules()), edited.Tests(),
					compiled.Cost(), len(compiled.Rules()), compiled.Tests())
			}
			program = edited
		}
	})
}

// told is everything that a decision says.
func told(t *testing.T, program *Program, wire []byte) string {
	t.Helper()
	var d Decision
	if err := program.Evaluate(wire, &d, &Request{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	text := describe(&d)
	for _, rule := range append(d.Fired, d.Shadow...) {
		text += fmt.Sprintf(" %s:%d:%q:%d:%v", rule.Name, rule.Line, rule.Title, rule.Priority, rule.Tags)
	}
	return text
}

func editable(n int) string {
	var b strings.Builder
	for i := range n {
		switch i % 5 {
		case 0:
			fmt.Fprintf(&b, "rule r%d \"title %d\" priority %d when paid_orders > %d then review score %d reason R%d\n", i, i, i%3, i, i, i)
		case 1:
			fmt.Fprintf(&b, "# about %d\nrule r%d when card == \"c%d\" or attempts > %d then deny score 1\n", i, i, i, i/8)
		case 2:
			fmt.Fprintf(&b, "rule r%d shadow tags a, b when any x in items (x.count > %d) then challenge\n\n", i, i/20)
		case 3:
			fmt.Fprintf(&b, "rule r%d canary 50%% by card when count(order by card over %dm) < 5 and is_3ds then deny # late\n", i, 1+i%7)
		default:
			fmt.Fprintf(&b, "rule r%d when length(card) > 1 and not (paid_orders in [%d, 40]) then allow\n", i, i)
		}
	}
	return b.String()
}

// splice replaces, inserts, deletes or doubles a part of a source.
func (c *chooser) splice(source string) string {
	if source == "" {
		return editable(3)
	}
	at := (c.n(256)<<8 | c.n(256)) % len(source)
	if c.n(2) == 1 { // at the begin of a line
		at += strings.IndexByte(source[at:], '\n') + 1
	}
	length := 0
	switch c.n(4) {
	case 1:
		length = c.n(8)
	case 2:
		length = c.n(200)
	case 3:
		length = strings.IndexByte(source[at:], '\n') + 1
	}
	end := min(at+length, len(source))
	with := c.pick("", " ", "\n", "#", "\"", "`", "1", "0", "(", ")", " and is_3ds", " or is_3ds", "rule z when is_3ds then deny\n", "list @l = [\"a\"]\n",
		"test \"t\" given { is_3ds: true } expect deny\n", "r", " when ", "then deny", "规则 甲 当 is_3ds 则 拒绝\n", "\uFEFF", "\r\n", "priority 2 ", "score 2", source[at:end], source[at:end]+source[at:end])
	return source[:at] + with + source[end:]
}
