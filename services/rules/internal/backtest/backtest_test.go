package backtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// order is a part of test.OrderFact, as JSON and as Parquet.
type order struct {
	Amount     *money   `json:"amount,omitempty" parquet:"amount,optional"`
	Card       *string  `json:"card,omitempty" parquet:"card,optional"`
	IP         string   `json:"ip,omitempty" parquet:"ip,dict"`
	At         int64    `json:"at" parquet:"at,timestamp(microsecond)"`
	AccountAge int64    `json:"account_age,omitempty" parquet:"account_age"`
	Is3DS      bool     `json:"is_3ds,omitempty" parquet:"is_3ds"`
	Items      []item   `json:"items,omitempty" parquet:"items,list"`
	Billing    *address `json:"billing,omitempty" parquet:"billing,optional"`
	Labels     []string `json:"labels,omitempty" parquet:"labels"`
	Channel    string   `json:"channel,omitempty" parquet:"channel"`
	Attempts   *int64   `json:"attempts,omitempty" parquet:"attempts,optional"`
	Risk       float64  `json:"risk,omitempty" parquet:"risk"`
	Verdict    string   `json:"verdict" parquet:"verdict"`
}

type money struct {
	Minor    int64  `json:"minor" parquet:"minor"`
	Currency string `json:"currency" parquet:"currency,dict"`
}

type item struct {
	Category string   `json:"category,omitempty" parquet:"category"`
	Price    *money   `json:"price,omitempty" parquet:"price,optional"`
	Tags     []string `json:"tags,omitempty" parquet:"tags,list"`
}

type address struct {
	Country string  `json:"country,omitempty" parquet:"country"`
	City    *string `json:"city,omitempty" parquet:"city,optional"`
}

func pick[T any](random *rand.Rand, options ...T) T { return options[random.IntN(len(options))] }

// orders makes events in the order of time.
func orders(n int) []order {
	random := rand.New(rand.NewPCG(4, 4))
	all := make([]order, n)
	text := func(s string) *string { return &s }
	amount := func() *money {
		return pick(random, nil, &money{random.Int64N(100_000), pick(random, "CNY", "CNY", "USD")}, &money{})
	}
	for i := range all {
		o := &all[i]
		*o = order{
			Amount: amount(), Card: pick(random, nil, text(""), text(fmt.Sprint("c", random.IntN(n/3+1)))), At: 1_790_000_000_000_000 + int64(i)*1_000_000,
			IP: pick(random, "", "10.0.0.1", "10.2.0.1", "2001:db8::1"), AccountAge: random.Int64N(20) * 86_400_000_000, Is3DS: random.IntN(2) == 0,
			Channel: pick(random, "", "CHANNEL_WEB", "CHANNEL_APP"), Risk: pick(random, 0, 0.5, 0.9), Verdict: pick(random, "allow", "allow", "deny"),
		}
		if random.IntN(2) == 0 {
			o.Billing = &address{pick(random, "", "CN", "DE"), pick(random, nil, text(""), text("x"))}
			o.Attempts = pick(random, nil, new(int64))
		}
		for range random.IntN(3) {
			o.Items = append(o.Items, item{pick(random, "", "giftcard"), amount(), pick(random, nil, []string{"a"}, []string{"b", "a"})})
			o.Labels = append(o.Labels, pick(random, "vip", "new"))
		}
	}
	return all
}

const live = `
list @bad = [10.0.0.0/16]
rule large when amount > 500.00 CNY and account_age < 7d then review score 40
rule network when ip in list @bad then challenge score 10
rule gift when any i in items (i.category == "giftcard" and i.price > 200.00 CNY) then deny score 80
rule old when billing.country == "DE" then challenge
rule tags shadow when any i in items ("b" in i.tags) and "vip" in labels then deny
`

const draft = `
list @bad = [10.0.0.0/8]
rule large when amount > 400.00 CNY and account_age < 7d then review score 40
rule network when ip in list @bad then challenge score 10
rule gift when any i in items (i.category == "giftcard" and i.price > 200.00 CNY) then deny score 85
rule city when billing.city is missing and billing is not missing and attempts is not missing then review score 5
rule tags when any i in items ("b" in i.tags) and "vip" in labels and channel != "APP" then deny
rule night canary 30% by ip when hour(at) in 1..4 and risk >= 0.5 and length(items) == 2 then challenge
`

// files writes the events in all formats.
func files(t testing.TB, all []order) map[string]string {
	t.Helper()
	dir := t.TempDir()
	var lines, packed bytes.Buffer
	for i := range all {
		line, err := json.Marshal(&all[i])
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	zipped := gzip.NewWriter(&packed)
	_, _ = zipped.Write(lines.Bytes())
	_ = zipped.Close()
	encoder, _ := zstd.NewWriter(nil)
	paths := map[string]string{}
	for name, data := range map[string][]byte{"lines": lines.Bytes(), "gzip": packed.Bytes(), "zstd": encoder.EncodeAll(lines.Bytes(), nil)} {
		paths[name] = filepath.Join(dir, name)
		if err := os.WriteFile(paths[name], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	paths["parquet"] = filepath.Join(dir, "parquet")
	file, err := os.Create(paths["parquet"])
	if err != nil {
		t.Fatal(err)
	}
	writer := parquet.NewGenericWriter[order](file, parquet.MaxRowsPerRowGroup(3000), parquet.PageBufferSize(8000), parquet.Compression(&parquet.Snappy))
	if _, err := writer.Write(all); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writer.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return paths
}

func orderConfig(t *testing.T, draft, live string, inputs ...string) Config {
	t.Helper()
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Schema: schema, Draft: Source{Name: "draft.rules", Text: draft}, Live: &Source{Name: "live.rules", Text: live},
		Inputs: inputs, VerdictField: "verdict", Workers: 3,
	}
}

// plainly judges the events one by one, by programs.
func plainly(t *testing.T, config *Config, all []order) (matrix [actions][actions]int64, fired map[string][2]int64, rescored, rerouted int64) {
	t.Helper()
	var decisions [2]rules.Decision
	var programs [2]*rules.Program
	now := int64(0)
	for i, source := range []*Source{&config.Draft, config.Live} {
		counters := velocity.New(velocity.Config{MaxBytes: 1 << 30, Clock: func() time.Time { return time.UnixMicro(now) }, Secret: []byte("backtests are repeatable: 32 bytes")})
		program, err := rules.Compile(source.Name, source.Text, config.Schema, &rules.Options{Counters: counters})
		if err != nil {
			t.Fatal(err)
		}
		programs[i] = program
	}
	fired = map[string][2]int64{}
	for i := range all {
		event := all[i]
		event.Verdict = ""
		line, _ := json.Marshal(&event)
		line = bytes.Replace(line, []byte(`,"verdict":""`), nil, 1)
		now = max(now, event.At)
		for side, program := range programs {
			if err := program.EvaluateJSON(line, &decisions[side], nil); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			for _, rule := range decisions[side].Fired {
				counts := fired[rule.Name]
				counts[side]++
				fired[rule.Name] = counts
			}
		}
		draft, live := &decisions[0], &decisions[1]
		matrix[live.Action][draft.Action]++
		switch {
		case draft.Score != live.Score:
			rescored++
		case draft.Action == live.Action && names(draft) != names(live):
			rerouted++
		}
	}
	return matrix, fired, rescored, rerouted
}

func names(d *rules.Decision) string {
	var all []string
	for _, rule := range d.Fired {
		all = append(all, rule.Name)
	}
	return strings.Join(all, " ")
}

func agree(t *testing.T, config Config, all []order) *Result {
	t.Helper()
	result, err := Run(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	matrix, fired, rescored, rerouted := plainly(t, &config, all)
	var got [actions][actions]int64
	for _, cell := range result.Matrix {
		got[recordedAction(cell.Live)][recordedAction(cell.Draft)] = cell.Events
	}
	if got != matrix {
		t.Errorf("matrix %v, want %v", got, matrix)
	}
	for _, rule := range result.Rules {
		var counts [2]int64
		if rule.Draft != nil {
			counts[0] = rule.Draft.Fired
		}
		if rule.Live != nil {
			counts[1] = rule.Live.Fired
		}
		if counts != fired[rule.Rule] {
			t.Errorf("rule %s: %v, want %v", rule.Rule, counts, fired[rule.Rule])
		}
	}
	if result.Score.Changed.Events != rescored || result.Rerouted.Events != rerouted || result.Events != int64(len(all)) {
		t.Errorf("%d events, %d rescored, %d other rules, want %d %d %d", result.Events, result.Score.Changed.Events, result.Rerouted.Events, len(all), rescored, rerouted)
	}
	return result
}

// TestRunAgreesWithPrograms runs over each format and compares with judging
// the events one by one.
func TestRunAgreesWithPrograms(t *testing.T) {
	all := orders(7_000)
	paths := files(t, all)
	var first *Result
	for _, format := range []string{"lines", "gzip", "zstd", "parquet"} {
		t.Run(format, func(t *testing.T) {
			result := agree(t, orderConfig(t, draft, live, paths[format]), all)
			for i := range result.Examples {
				for j := range result.Examples[i].Examples {
					e := &result.Examples[i].Examples[j]
					e.File, e.Event = "", ""
				}
			}
			if first == nil {
				first = result
				if len(result.Examples) < 8 || result.Changed.Events < 1000 {
					t.Errorf("%d kinds of change, %d changed: the events are too tame", len(result.Examples), result.Changed.Events)
				}
			} else if !reflect.DeepEqual(first.Examples, result.Examples) {
				t.Errorf("other examples: %+v", result.Examples)
			}
		})
	}
}

const counted = `
rule often when count(order by card over 10m) > 3 and amount > 1.00 CNY then deny score 50
rule spent when sum(amount by ip over 1h) > 9000.00 CNY then review
rule cards when distinct(card by ip over 5m) >= 100 then challenge
`

func TestVelocityAgreesWithPrograms(t *testing.T) {
	all := orders(5_000)
	paths := files(t, all)
	for _, format := range []string{"lines", "parquet"} {
		t.Run(format, func(t *testing.T) {
			agree(t, orderConfig(t, strings.Replace(counted, "> 3", "> 2", 1), counted, paths[format]), all)
		})
	}
}

func TestVelocityRefusesDisorder(t *testing.T) {
	all := orders(3_000)
	all[2_500].At -= 3_600_000_000
	config := orderConfig(t, counted, counted, files(t, all)["lines"])
	_, err := Run(context.Background(), config)
	if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), ":2501: the event is 59m59s earlier") {
		t.Errorf("got %v", err)
	}
	config.Disorder = 2 * time.Hour
	if _, err := Run(context.Background(), config); err != nil {
		t.Error(err)
	}
}

func TestRecordedVerdicts(t *testing.T) {
	all := orders(3_000)
	paths := files(t, all)
	for _, format := range []string{"lines", "parquet"} {
		config := orderConfig(t, draft, live, paths[format])
		config.Live = nil
		result, err := Run(context.Background(), config)
		if err != nil {
			t.Fatal(err)
		}
		denied := int64(0)
		for i := range all {
			if all[i].Verdict == "deny" {
				denied++
			}
		}
		if got := result.Verdicts[3]; got.Verdict != "deny" || got.Live.Events != denied || !result.Recorded {
			t.Errorf("%s: %+v, want %d", format, got, denied)
		}
	}
}

func TestBadEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	text := "{\"card\":\"a\"}\n\n{\"amuont\":1}\n{\"card\":\"b\"}\n{\"attempts\":\"x\"}\n{\"card\":\"c\"}"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config := orderConfig(t, draft, live, path)
	if _, err := Run(context.Background(), config); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "events:3: ") || !strings.Contains(err.Error(), "amuont") {
		t.Errorf("got %v", err)
	}
	config.Meter, config.SkipBad = nil, 2
	result, err := Run(context.Background(), config)
	if err != nil || result.Events != 3 || result.Bad != 2 || result.BadFirst[1].Number != 5 {
		t.Errorf("%+v %v", result, err)
	}
}

func TestInterruptedRunTellsWhatItSaw(t *testing.T) {
	config := orderConfig(t, draft, live, files(t, orders(2_000))["lines"])
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	result, err := Run(ctx, config)
	if err != nil || !result.Partial {
		t.Errorf("%+v %v", result, err)
	}
}

func TestBadRulesetIsTold(t *testing.T) {
	config := orderConfig(t, "rule r when amuont > 1 then deny", live, os.DevNull)
	var faults rules.Errors
	if _, err := Run(context.Background(), config); !errors.As(err, &faults) || faults[0].File != "draft.rules" {
		t.Errorf("got %v", err)
	}
}
