package api

import (
	"context"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
)

const source = `
rule large priority 3 when amount > 5.00 USD then review score 40 reason LARGE
rule often when count(payment by viewer_id over 1h) > 2 then deny score 60 reason OFTEN
rule young shadow when account_age < 1d then challenge
`

var factType = string((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor().FullName())

func newServer(t *testing.T) *Server {
	c := catalog.New(catalog.Config{Dir: t.TempDir(), Clock: time.Now})
	if err := c.AddBuiltin((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor()); err != nil {
		t.Fatal(err)
	}
	if err := c.Put(catalog.Ruleset{Name: "payments", FactType: factType, Version: "v1", Source: source}); err != nil {
		t.Fatal(err)
	}
	return New(c)
}

func request(t *testing.T, id string) *rulesv1.EvaluateRequest {
	fact := &rulesv1.PaymentFact{
		OrderId: id, ViewerId: "v", Amount: &moneyv1.Money{Minor: 600, Currency: "USD"},
		At: time.Now().UnixMicro(), AccountAge: int64(time.Hour / time.Microsecond),
	}
	raw, err := proto.Marshal(fact)
	if err != nil {
		t.Fatal(err)
	}
	return &rulesv1.EvaluateRequest{FactType: factType, Fact: &rulesv1.EvaluateRequest_Proto{Proto: raw}, EventId: id}
}

func TestEvaluateTellsTheWholeDecision(t *testing.T) {
	server := newServer(t)
	res, err := server.Evaluate(t.Context(), request(t, "o1"))
	if err != nil {
		t.Fatal(err)
	}
	want := &rulesv1.Decision{
		Verdict: rulesv1.Action_ACTION_REVIEW, Score: 40, Ruleset: "payments", RulesetVersion: "v1",
		Fired:  []*rulesv1.FiredRule{{Rule: "large", Action: rulesv1.Action_ACTION_REVIEW, Score: 40, Reason: "LARGE"}},
		Shadow: []*rulesv1.FiredRule{{Rule: "young", Action: rulesv1.Action_ACTION_CHALLENGE}},
	}
	if !proto.Equal(res.GetDecision(), want) {
		t.Errorf("got %v", res.GetDecision())
	}
}

func TestARepeatedCallIsTheSameAndCountsOnce(t *testing.T) {
	server := newServer(t)
	var first *rulesv1.EvaluateResponse
	for range 5 {
		res, err := server.Evaluate(t.Context(), request(t, "o1"))
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !proto.Equal(res, first) {
			t.Fatalf("got %v, first %v", res, first)
		}
		first = res
	}
	for i, want := range []rulesv1.Action{rulesv1.Action_ACTION_REVIEW, rulesv1.Action_ACTION_DENY} {
		res, err := server.Evaluate(t.Context(), request(t, []string{"o2", "o3"}[i]))
		if err != nil || res.GetDecision().GetVerdict() != want {
			t.Errorf("got %v, %v", res, err)
		}
	}
}

func TestTenantsHaveTheirOwnVelocity(t *testing.T) {
	server := newServer(t)
	for i, tenant := range []string{"a", "b", "a", "b", "a"} {
		ctx := identity.With(t.Context(), identity.Principal{Kind: identity.Service, ID: "storefront", TenantID: tenant})
		res, err := server.Evaluate(ctx, request(t, string(rune('0'+i))))
		if err != nil {
			t.Fatal(err)
		}
		if denied := res.GetDecision().GetVerdict() == rulesv1.Action_ACTION_DENY; denied != (i == 4) {
			t.Errorf("order %d of tenant %s: %v", i, tenant, res.GetDecision())
		}
	}
}

func TestBatchJSONAndTrace(t *testing.T) {
	server := newServer(t)
	res, err := server.EvaluateBatch(t.Context(), &rulesv1.EvaluateBatchRequest{Requests: []*rulesv1.EvaluateRequest{
		request(t, "o1"),
		{FactType: factType, Fact: &rulesv1.EvaluateRequest_Json{Json: `{"amount": {"minor": 1, "currency": "USD"}, "accountAge": "1"}`}, Trace: true},
	}})
	if err != nil || len(res.GetDecisions()) != 2 {
		t.Fatalf("got %v, %v", res, err)
	}
	second := res.GetDecisions()[1]
	if second.GetVerdict() != rulesv1.Action_ACTION_ALLOW || len(second.GetTrace()) == 0 || len(second.GetShadow()) != 1 {
		t.Errorf("got %v", second)
	}
	for _, step := range second.GetTrace() {
		if step.GetExpression() == "amount" && step.GetValue() != "0.01 USD" {
			t.Errorf("got %v", step)
		}
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	server := newServer(t)
	evaluate := func(req *rulesv1.EvaluateRequest) error {
		_, err := server.Evaluate(t.Context(), req)
		return err
	}
	json := func(text string) *rulesv1.EvaluateRequest {
		return &rulesv1.EvaluateRequest{FactType: factType, Fact: &rulesv1.EvaluateRequest_Json{Json: text}}
	}
	for name, test := range map[string]struct {
		err  error
		want connect.Code
	}{
		"unknown field": {evaluate(json(`{"amuont": 1}`)), connect.CodeInvalidArgument},
		"bad bytes": {evaluate(&rulesv1.EvaluateRequest{
			FactType: factType, Fact: &rulesv1.EvaluateRequest_Proto{Proto: []byte{0x12, 9}},
		}), connect.CodeInvalidArgument},
		"no fact":    {evaluate(&rulesv1.EvaluateRequest{FactType: factType}), connect.CodeInvalidArgument},
		"no ruleset": {evaluate(&rulesv1.EvaluateRequest{FactType: "x.Y", Fact: json("{}").Fact}), connect.CodeFailedPrecondition},
		"new schema": {evaluate(&rulesv1.EvaluateRequest{FactType: factType, SchemaRevision: 9, Fact: json("{}").Fact}), connect.CodeFailedPrecondition},
		"check of an unknown type": {func() error {
			_, err := server.Check(t.Context(), &rulesv1.CheckRequest{FactType: "x.Y"})
			return err
		}(), connect.CodeNotFound},
		"batch": {func() error {
			_, err := server.EvaluateBatch(t.Context(), &rulesv1.EvaluateBatchRequest{Requests: []*rulesv1.EvaluateRequest{{FactType: factType}}})
			return err
		}(), connect.CodeInvalidArgument},
		"canceled batch": {func() error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := server.EvaluateBatch(ctx, &rulesv1.EvaluateBatchRequest{Requests: []*rulesv1.EvaluateRequest{json("{}")}})
			return err
		}(), connect.CodeCanceled},
	} {
		if got := connect.CodeOf(test.err); got != test.want {
			t.Errorf("%s: %s (%v)", name, got, test.err)
		}
	}
}

func TestCheckReportsFaultsTestsAndForm(t *testing.T) {
	server := newServer(t)
	check := func(source string) *rulesv1.CheckResponse {
		res, err := server.Check(t.Context(), &rulesv1.CheckRequest{FactType: factType, Source: source})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	bad := check("rule a\n when amuont > 5 then deny")
	if len(bad.GetDiagnostics()) != 1 || bad.GetDiagnostics()[0].GetLine() != 2 || bad.GetDiagnostics()[0].GetColumn() != 7 ||
		bad.GetDiagnostics()[0].GetHelp() != "did you mean 'amount'?" || bad.GetFormatted() == "" {
		t.Errorf("got %v", bad)
	}
	failing := check("rule a when card == \"x\" then deny\ntest \"t\" given {} expect deny")
	if failing.GetRules() != 1 || failing.GetTests() != 1 || len(failing.GetDiagnostics()) != 1 || failing.GetDiagnostics()[0].GetLine() != 2 {
		t.Errorf("got %v", failing)
	}
	good := check("rule a when   card==\"x\" then deny")
	if len(good.GetDiagnostics()) != 0 || good.GetFormatted() != "rule a live\n  when card == \"x\"\n  then deny\n" {
		t.Errorf("got %v", good)
	}
	doubtful := check("rule a when card == \"x\" and card == \"y\" then deny")
	if len(doubtful.GetDiagnostics()) != 1 || doubtful.GetDiagnostics()[0].GetSeverity() != rulesv1.Diagnostic_SEVERITY_WARNING {
		t.Errorf("got %v", doubtful)
	}
}

func TestListRulesets(t *testing.T) {
	res, err := newServer(t).ListRulesets(t.Context(), &rulesv1.ListRulesetsRequest{})
	if err != nil || len(res.GetRulesets()) != 1 || res.GetRulesets()[0].GetRules() != 3 || res.GetRulesets()[0].GetVersion() != "v1" {
		t.Errorf("got %v, %v", res, err)
	}
}
