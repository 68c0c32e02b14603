package rules

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/rate"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

var update = flag.Bool("update", false, "rewrite the expectations of testdata/*.txt")

func orderSchema(t testing.TB) *fact.Schema {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestTranscripts runs testdata/*.txt. A transcript has sections `-- kind --`:
// rules (a source), condition (of an empty fact), rates (a table, in force from there on), fact (JSON, judged by the last source, velocity counts),
// trace (as fact, with trace) and tests; each but a source that compiles is
// followed by `-- want --` with what was printed.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s: got\n%s", file, got)
			}
		})
	}
}

func replay(t *testing.T, transcript string) string {
	var out strings.Builder
	session := transcriptSession{schema: orderSchema(t), lists: &list.Registry{}}
	datacenters, err := list.New([]string{"203.0.113.0/24", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	session.lists.Set("datacenters", datacenters)
	sections := strings.Split(transcript, "-- ")
	out.WriteString(sections[0])
	for _, section := range sections[1:] {
		kind, body, _ := strings.Cut(section, " --\n")
		if kind == "want" {
			continue
		}
		if body = strings.TrimRight(body, "\n"); body != "" {
			body += "\n"
		}
		fmt.Fprintf(&out, "-- %s --\n%s", kind, body)
		if printed := session.run(kind, body); printed != "" {
			fmt.Fprintf(&out, "-- want --\n%s\n", printed)
		}
		out.WriteByte('\n')
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

type transcriptSession struct {
	schema  *fact.Schema
	lists   *list.Registry
	rates   rate.Ref
	program *Program
}

func (s *transcriptSession) run(kind, body string) string {
	switch kind {
	case "rules":
		clock := func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }
		program, err := Compile("risk.rules", body, s.schema, &Options{
			Lists: s.lists, Rates: &s.rates, Counters: velocity.New(velocity.Config{Clock: clock}),
		})
		if err != nil {
			return err.Error()
		}
		s.program = program
		return ""
	case "rates":
		table, err := rate.Read(strings.NewReader(body), "")
		if err != nil {
			return err.Error()
		}
		s.rates.Set(table)
		return ""
	case "tests":
		var lines []string
		for _, result := range s.program.Test() {
			outcome := "ok"
			if result.Failure != "" {
				outcome = result.Failure
			}
			lines = append(lines, fmt.Sprintf("line %d %q: %s", result.Line, result.Name, outcome))
		}
		return strings.Join(lines, "\n")
	}
	if kind == "condition" {
		condition, err := CompileCondition("risk.condition", strings.TrimSpace(body), s.schema, &Options{Lists: s.lists})
		if err != nil {
			return err.Error()
		}
		e := condition.NewEvent()
		if err := condition.Decode(nil, e); err != nil {
			return err.Error()
		}
		return fmt.Sprintf("holds of nothing: %t", condition.Holds(e))
	}
	var d Decision
	if err := s.program.EvaluateJSON([]byte(body), &d, &Request{Trace: kind == "trace"}); err != nil {
		// protojson varies its spaces so that nobody depends on them.
		return "error: " + strings.ReplaceAll(err.Error(), "\u00a0", " ")
	}
	return describe(&d)
}

func describe(d *Decision) string {
	lines := []string{fmt.Sprintf("%s score %d", d.Action, d.Score)}
	for _, rule := range d.Fired {
		lines = append(lines, strings.TrimRight("  "+rule.Name+" "+rule.Action.String()+" "+rule.Reason, " "))
	}
	for _, rule := range d.Shadow {
		lines = append(lines, "  "+rule.Name+" "+rule.Action.String()+" "+rule.Reason+" (shadow)")
	}
	for _, step := range d.Trace {
		lines = append(lines, "  "+step.Rule+": "+step.Expression+" = "+step.Value)
	}
	if d.Unknown != (Unknown{}) {
		unknown := fmt.Sprintf("  unknown: %d overflow, %d currency", d.Unknown.Overflow, d.Unknown.Currency)
		if d.Unknown.Rate > 0 {
			unknown += fmt.Sprintf(", %d without a rate", d.Unknown.Rate)
		}
		lines = append(lines, unknown)
	}
	return strings.Join(lines, "\n")
}

const benchRules = `
rule night when amount > 500.00 CNY and hour(at, "Asia/Shanghai") in 1..4 and account_age < 7d then challenge score 40 reason NIGHT
rule net when ip in cidr [10.0.0.0/8, 192.168.0.0/16] and not is_3ds then review
rule mail when lower(email) ends_with "@example.com" or email matches /^[a-z]+@mail\./ then challenge
rule gift when any item in items (item.category == "giftcard" and item.price > 0.04 USD) and billing.country != shipping.country then deny
rule burst when count(order by card over 1h) > 100000000 or distinct(ip by card over 24h) >= 3 then deny
rule math when paid_orders * 3 + attempts > 100 or risk > 0.9 then review
rule chan canary 50% by email when channel == "APP" and billing.country in ["CN", "US"] then allow score -5
`

const benchFact = `{
 "amount": {"minor": "60000", "currency": "CNY"}, "card": "4242", "ip": "10.1.2.3", "at": "1795284000000000",
 "account_age": "172800000000", "risk": 0.25, "channel": "CHANNEL_APP", "email": "Someone@Example.com", "attempts": 3,
 "items": [{"category": "giftcard", "price": {"minor": 5, "currency": "USD"}}],
 "billing": {"country": "CN"}, "shipping": {"country": "US"}
}`

func TestEvaluateDoesNotAllocate(t *testing.T) {
	program, err := Compile("bench", benchRules, orderSchema(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := program.Schema().FromJSON([]byte(benchFact))
	if err != nil {
		t.Fatal(err)
	}
	var d Decision
	allocs := testing.AllocsPerRun(200, func() {
		if err := program.Evaluate(data, &d, nil); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > tolerated {
		t.Errorf("%v allocations", allocs)
	}
	if got := fmt.Sprint(d.Action, len(d.Fired)+len(d.Shadow)); got != "deny 5" {
		t.Errorf("got %s: %s", got, describe(&d))
	}
}

func TestListsSwapUnderAProgram(t *testing.T) {
	registry := &list.Registry{}
	set := func(entries ...string) {
		l, err := list.New(entries)
		if err != nil {
			t.Fatal(err)
		}
		registry.Set("blocked", l)
	}
	set("1.2.3.4")
	program, err := Compile("r", `rule r when ip in list @blocked then deny`, orderSchema(t), &Options{Lists: registry})
	if err != nil {
		t.Fatal(err)
	}
	var d Decision
	judge := func() Action {
		if err := program.EvaluateJSON([]byte(`{"ip": "10.0.0.9"}`), &d, nil); err != nil {
			t.Fatal(err)
		}
		return d.Action
	}
	if got := judge(); got != Allow {
		t.Errorf("before: %s", got)
	}
	set("10.0.0.0/8")
	if got := judge(); got != Deny {
		t.Errorf("after: %s", got)
	}
	if got := program.Lists(); len(got) != 1 || got[0] != "blocked" {
		t.Errorf("lists %v", got)
	}
}

func TestAnEventCountsOnce(t *testing.T) {
	program, err := Compile("r", `rule r when count(order by card over 1h) > 1 then deny`, orderSchema(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	var d Decision
	for i, test := range []struct {
		request Request
		want    Action
	}{
		{Request{EventID: "a"}, Allow},
		{Request{EventID: "a"}, Allow},
		{Request{EventID: "b", ReadOnly: true}, Allow},
		{Request{EventID: "b"}, Deny},
		{Request{EventID: "b"}, Deny},
		{Request{ReadOnly: true}, Deny},
	} {
		if err := program.EvaluateJSON([]byte(`{"card": "c"}`), &d, &test.request); err != nil {
			t.Fatal(err)
		}
		if d.Action != test.want {
			t.Errorf("evaluation %d: %s, want %s", i, d.Action, test.want)
		}
	}
}

func TestVelocitySurvivesANewProgramOfItsScope(t *testing.T) {
	store := velocity.New(velocity.Config{})
	options := &Options{Counters: store, Scope: "main/payments"}
	var d Decision
	for i, want := range []Action{Allow, Deny} {
		program, err := Compile(fmt.Sprint("v", i), `rule r when count(order by card over 1h) > 1 then deny`, orderSchema(t), options)
		if err != nil {
			t.Fatal(err)
		}
		if err := program.EvaluateJSON([]byte(`{"card": "c"}`), &d, nil); err != nil || d.Action != want {
			t.Errorf("program %d: %s %v", i, d.Action, err)
		}
	}
}

func TestCanaryTakesItsShare(t *testing.T) {
	program, err := Compile("r", `rule r canary 20% by email when paid_orders == 0 then deny`, orderSchema(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	live := 0
	var d Decision
	for i := range 5000 {
		if err := program.EvaluateJSON(fmt.Appendf(nil, `{"email": "user%d@example.com"}`, i), &d, nil); err != nil {
			t.Fatal(err)
		}
		if len(d.Fired)+len(d.Shadow) != 1 {
			t.Fatal("a canary fires live or in shadow")
		}
		live += len(d.Fired)
	}
	if live < 900 || live > 1100 {
		t.Errorf("%d of 5000 are live, want about 1000", live)
	}
	if err := program.EvaluateJSON([]byte(`{}`), &d, nil); err != nil || len(d.Fired) != 0 {
		t.Error("without its key a canary must stay in shadow")
	}
}

func TestErrorsCanBeTakenApart(t *testing.T) {
	_, err := Compile("risk.rules", "rule a\n  when amuont > 5 then deny\nrule b when ip > 1 then deny", orderSchema(t), nil)
	var first *Error
	if !errors.As(err, &first) || first.Line != 2 || first.Column != 8 || first.Help != "did you mean 'amount'?" {
		t.Errorf("got %v", err)
	}
	var all Errors
	if !errors.As(err, &all) || len(all) != 2 {
		t.Errorf("got %d errors", len(all))
	}
}

func TestWideCharactersKeepTheMarkInPlace(t *testing.T) {
	_, err := Compile("r", `rule 夜 "大额" when 金 > 5 then deny`, orderSchema(t), nil)
	lines := strings.Split(err.Error(), "\n")
	if len(lines) < 3 || lines[2] != "       | "+strings.Repeat(" ", 20)+"^^" {
		t.Errorf("got\n%s", err)
	}
}

func FuzzCompile(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, section := range bytes.Split(text, []byte("-- ")) {
			if source, ok := bytes.CutPrefix(section, []byte("rules --\n")); ok {
				f.Add(string(source), []byte{})
			}
		}
	}
	schema := orderSchema(f)
	data, _ := schema.FromJSON([]byte(benchFact))
	f.Add(benchRules, data)
	f.Fuzz(func(t *testing.T, source string, data []byte) {
		program, err := Compile("f", source, schema, nil)
		if err != nil {
			_ = err.Error()
			return
		}
		var d Decision
		if program.Evaluate(data, &d, &Request{Trace: true}) == nil && d.Action < Allow {
			t.Error("no verdict")
		}
		program.Test()
	})
}

func BenchmarkEvaluate(b *testing.B) {
	program, err := Compile("bench", benchRules, orderSchema(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	data, _ := program.Schema().FromJSON([]byte(benchFact))
	var d Decision
	b.ReportAllocs()
	for b.Loop() {
		if err := program.Evaluate(data, &d, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	var source strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&source, "rule r%d when amount > %d.00 CNY and ip != \"10.0.0.%d\" and (paid_orders * 3 > %d or risk > 0.%d) then deny score %d reason R%d\n", i, i, i%256, i, i%100, i, i)
	}
	schema := orderSchema(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile("bench", source.String(), schema, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/rule")
}

func TestARulesetHasABudget(t *testing.T) {
	source := "rule a when email matches /a+b/ then deny\nrule b when any i in items (i.category == \"x\") then deny"
	program, err := Compile("r", source, orderSchema(t), nil)
	if err != nil || program.Cost() < 200 {
		t.Fatalf("cost %d, %v", program.Cost(), err)
	}
	_, err = Compile("r", source, orderSchema(t), &Options{Budget: program.Cost() - 1})
	if err == nil || !strings.Contains(err.Error(), "the budget is") || !strings.Contains(err.Error(), "'a'") {
		t.Errorf("got %v", err)
	}
	if _, err := Compile("r", source, orderSchema(t), &Options{Budget: program.Cost()}); err != nil {
		t.Error(err)
	}
}

func TestADecodedEventCanBeJudgedAgain(t *testing.T) {
	program, err := Compile("r", "rule r when count(order by card over 1h) > 1 then deny\nrule s when paid_orders == 3 then review", orderSchema(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := program.Schema().FromJSON([]byte(`{"card": "c", "paid_orders": 3}`))
	if err != nil {
		t.Fatal(err)
	}
	e := program.NewEvent()
	var d Decision
	if err := program.Decode(data, e); err != nil {
		t.Fatal(err)
	}
	for i, want := range []Action{Review, Deny, Deny} {
		if i != 2 {
			program.Observe(e, nil)
		}
		if program.Judge(e, &d); d.Action != want {
			t.Errorf("%d: %s, want %s", i, d.Action, want)
		}
	}
}

func TestAConditionHoldsWhereItsRuleFires(t *testing.T) {
	schema := orderSchema(t)
	data, err := schema.FromJSON([]byte(benchFact))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`amount > 500.00 CNY`:               true,
		`amount > 500.00 USD`:               false,
		`hour(at, "Asia/Shanghai") in 1..4`: true,
		`any item in items (item.price > 0.04 USD) and billing.country != shipping.country`: true,
		`email matches /^someone@/`:                    false,
		`lower(email) matches /^someone@/`:             true,
		`ip in cidr 10.0.0.0/8 or card == "x"`:         true,
		`count(order by card over 1h) > 0`:             true,
		`paid_orders * 3 + attempts > 100 or risk > 2`: false,
	} {
		condition, err := CompileCondition("c", text, schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		e := condition.NewEvent()
		if err := condition.Decode(data, e); err != nil {
			t.Fatal(err)
		}
		condition.Observe(e, nil)
		allocs := testing.AllocsPerRun(100, func() {
			if condition.Holds(e) != want {
				t.Errorf("%s: not %t", text, want)
			}
		})
		if allocs > tolerated {
			t.Errorf("%s: %v allocations", text, allocs)
		}
	}
}

// What a condition prepares (rates, memory for texts) is prepared each time it
// is judged.
func TestAConditionIsJudgedByTheRatesInForce(t *testing.T) {
	schema := orderSchema(t)
	data, err := schema.FromJSON([]byte(benchFact))
	if err != nil {
		t.Fatal(err)
	}
	var rates rate.Ref
	condition, err := CompileCondition("c", `not (convert(amount, USD) < 100.00 USD) and lower(email) != email`, schema, &Options{Rates: &rates})
	if err != nil {
		t.Fatal(err)
	}
	e := condition.NewEvent()
	if err := condition.Decode(data, e); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		rate string
		want bool
	}{{"", false}, {"0.2", true}, {"0.01", false}} {
		if test.rate != "" {
			table, err := rate.New("", "USD", map[string]string{"CNY": test.rate})
			if err != nil {
				t.Fatal(err)
			}
			rates.Set(table)
		}
		if got := condition.Holds(e); got != test.want {
			t.Errorf("rate %q: %t, want %t", test.rate, got, test.want)
		}
	}
}
