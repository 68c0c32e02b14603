package api

import (
	"fmt"
	"math"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
)

var actions = map[rules.Action]rulesv1.Action{
	rules.Allow:     rulesv1.Action_ACTION_ALLOW,
	rules.Challenge: rulesv1.Action_ACTION_CHALLENGE,
	rules.Review:    rulesv1.Action_ACTION_REVIEW,
	rules.Deny:      rulesv1.Action_ACTION_DENY,
}

// score fits a score into the wire's range; beyond, it stays at the end.
func score(n int64) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) }

func decisionToProto(d *rules.Decision) *rulesv1.Decision {
	out := &rulesv1.Decision{
		Verdict: actions[d.Action], Score: score(d.Score),
		Fired: firedToProto(d.Fired), Shadow: firedToProto(d.Shadow),
		Ruleset: d.Ruleset, RulesetVersion: d.Version,
	}
	for _, step := range d.Trace {
		out.Trace = append(out.Trace, &rulesv1.TraceStep{Rule: step.Rule, Expression: step.Expression, Value: step.Value})
	}
	return out
}

func firedToProto(fired []*rules.Rule) []*rulesv1.FiredRule {
	out := make([]*rulesv1.FiredRule, len(fired))
	for i, rule := range fired {
		out[i] = &rulesv1.FiredRule{Rule: rule.Name, Action: actions[rule.Action], Score: score(rule.Score), Reason: rule.Reason}
	}
	return out
}

func checkedToProto(checked *catalog.Checked) *rulesv1.CheckResponse {
	res := &rulesv1.CheckResponse{
		Rules: uint32(checked.Rules), Tests: uint32(checked.Tests), Formatted: checked.Formatted,
	}
	for _, e := range checked.Errors {
		res.Diagnostics = append(res.Diagnostics, &rulesv1.Diagnostic{
			Severity: rulesv1.Diagnostic_SEVERITY_ERROR, Line: uint32(e.Line), Column: uint32(e.Column),
			Message: e.Message, Help: e.Help, Rendered: e.Rendered(),
		})
	}
	for _, failed := range checked.Failed {
		message := fmt.Sprintf("test %q: %s", failed.Name, failed.Failure)
		res.Diagnostics = append(res.Diagnostics, &rulesv1.Diagnostic{
			Severity: rulesv1.Diagnostic_SEVERITY_ERROR, Line: uint32(failed.Line), Column: 1,
			Message: message, Rendered: fmt.Sprintf("source:%d:1: error: %s", failed.Line, message),
		})
	}
	for _, w := range checked.Warnings {
		res.Diagnostics = append(res.Diagnostics, &rulesv1.Diagnostic{
			Severity: rulesv1.Diagnostic_SEVERITY_WARNING, Line: uint32(w.Line), Column: uint32(w.Column),
			Message: w.Message, Help: w.Help, Rendered: w.Rendered(),
		})
	}
	return res
}

func statusToProto(s catalog.Status) *rulesv1.RulesetStatus {
	return &rulesv1.RulesetStatus{
		Name: s.Name, FactType: s.FactType, Version: s.Version, Rules: uint32(s.Rules), Rejected: s.Rejected,
	}
}
