package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
	"github.com/backlot-video/backlot/services/rules/internal/backtest"
)

var backtestInput = map[string]string{
	"live.rules":  "rule large when amount > 500.00 CNY then review score 40\nrule old when card == \"z\" then deny\n",
	"draft.rules": "rule large when amount > 300.00 CNY then review score 40\nrule new when card in list @bad then deny score 9\n",
	"bad.list":    "x\n",
	"bad.rules":   "rule a when crad == \"x\" then deny\n",
	"events.jsonl": `{"amount":{"minor":40000,"currency":"CNY"},"card":"x"}
{"amount":{"minor":60000,"currency":"CNY"},"card":"y"}
{"amount":{"minor":40000,"currency":"CNY"}}
{"card":"z"}
`,
	"judged.jsonl": `{"card":"x","verdict":"deny"}` + "\n" + `{"card":"y","verdict":"deny"}` + "\n",
	"typo.jsonl":   `{"crad":"x"}` + "\n",
}

func TestBacktest(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
		want []string // parts of what is printed, to either stream
	}{
		{"draft.rules --against live.rules events.jsonl", 0, []string{
			"4 events", "Changed: 75.00% of verdicts (3)", "allow -> deny", "events.jsonl:1  score 0 -> 49  +new  +large", "removed", "added",
			"deny -> allow", "-old", `{"card":"z"}`, "bound of one event",
		}},
		{"draft.rules --against live.rules event?.jsonl events.jsonl --samples 0", 0, []string{"8 events"}},
		{"draft.rules --against live.rules events.jsonl --fail-if deny-rate>2% --fail-if change-rate>80%", 1, []string{"fails: deny-rate>2%: it is 25%"}},
		{"draft.rules --against live.rules events.jsonl --fail-if dney-rate>2%", 2, []string{"unknown measure"}},
		{"draft.rules --verdict-field verdict judged.jsonl", 0, []string{"recorded", "Changed: 50.00%"}},
		{"draft.rules --against live.rules judged.jsonl", 2, []string{"judged.jsonl:1: ", "verdict"}},
		{"draft.rules --against live.rules --ignore-unknown judged.jsonl", 0, []string{"2 events"}},
		{"draft.rules --against live.rules typo.jsonl", 2, []string{"typo.jsonl:1: ", "crad"}},
		{"draft.rules --against live.rules typo.jsonl events.jsonl --skip-bad 1", 0, []string{"4 events", "1 event could not be read", "typo.jsonl:1: "}},
		{"bad.rules --against live.rules events.jsonl", 1, []string{"bad.rules:1:13: error: unknown field 'crad'", "did you mean 'card'"}},
		{"draft.rules events.jsonl", 2, []string{"--against"}},
		{"draft.rules --against live.rules nowhere.jsonl", 2, []string{"nowhere.jsonl"}},
		{"draft.rules --against live.rules -", 0, []string{"1 events"}},
		{"--help", 0, []string{"--fail-if", "deny-rate>2%", "Exit code"}},
	} {
		code, out, errs := run(t, backtestInput, `{"card":"x"}`, append([]string{"backtest"}, strings.Fields(test.args)...)...)
		if code != test.code {
			t.Errorf("%s: code %d, want %d\n%s%s", test.args, code, test.code, out, errs)
		}
		for _, want := range test.want {
			if !strings.Contains(out+errs, want) {
				t.Errorf("%s: no %q in\n%s%s", test.args, want, out, errs)
			}
		}
	}
}

func TestBacktestJSON(t *testing.T) {
	code, out, errs := run(t, backtestInput, "", "backtest", "--json", "draft.rules", "--against", "live.rules", "events.jsonl", "--fail-if", "events<5")
	var result struct {
		Events  int64
		Changed struct{ Rate float64 }
		Matrix  []struct {
			Live, Draft string
			Events      int64
		}
		Broken []string
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 1 {
		t.Fatalf("code %d, %v: %s%s", code, err, out, errs)
	}
	if result.Events != 4 || result.Changed.Rate != 0.75 || len(result.Matrix) != 4 || len(result.Broken) != 1 {
		t.Errorf("%+v", result)
	}
}

func TestBacktestInterrupted(t *testing.T) {
	code, _, _ := run(t, backtestInput, "", "help")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if code += Main(ctx, []string{"backtest", "draft.rules", "--against", "live.rules", "events.jsonl"}, &Stdio{Out: &out, Err: &out}); code != 1 || !strings.Contains(out.String(), "PARTIAL") {
		t.Errorf("code %d: %s", code, out.String())
	}
}

// inForce is a running Backlot with one ruleset.
type inForce struct {
	rulesv1connect.UnimplementedReleaseServiceHandler
	storefrontv1connect.UnimplementedAccountServiceHandler
}

func (inForce) SignIn(context.Context, *storefrontv1.SignInRequest) (*storefrontv1.SignInResponse, error) {
	return &storefrontv1.SignInResponse{Token: &storefrontv1.Token{AccessToken: "token"}}, nil
}

func (inForce) GetRuleset(_ context.Context, request *rulesv1.GetRulesetRequest) (*rulesv1.GetRulesetResponse, error) {
	if request.GetRuleset() != "payments" || !request.GetSources() {
		return &rulesv1.GetRulesetResponse{}, nil
	}
	return &rulesv1.GetRulesetResponse{LiveSource: backtestInput["live.rules"]}, nil
}

func TestBacktestAgainstTheVersionInForce(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(rulesv1connect.NewReleaseServiceHandler(inForce{}))
	mux.Handle(storefrontv1connect.NewAccountServiceHandler(inForce{}))
	server := httptest.NewServer(mux)
	defer server.Close()
	files := map[string]string{"key": "secret"}
	for name, text := range backtestInput {
		files[name] = text
	}
	for name, want := range map[string]string{"payments": "Changed: 75.00%", "other": "no version in force"} {
		_, out, errs := run(t, files, "", "backtest", "--gateway", server.URL, "--operator-key", "key", "draft.rules", "--against-live", name, "events.jsonl")
		if !strings.Contains(out+errs, want) {
			t.Errorf("%s: no %q in %s%s", name, want, out, errs)
		}
	}
}

func TestProgressIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meter := &backtest.Meter{}
		meter.Total.Store(200)
		meter.Read.Store(50)
		meter.Events.Store(1_234_567)
		var out bytes.Buffer
		p := startProgress(&out, meter)
		<-time.After(11 * time.Second)
		p.stop()
		if want := " 25% 1,234,567 events, 123,456/s, 30s left\n"; out.String() != want {
			t.Errorf("%q", out.String())
		}
		if bar := progressLine(meter, 10*time.Second, true); !strings.HasPrefix(bar, "[=======      ") {
			t.Errorf("%q", bar)
		}
	})
}
