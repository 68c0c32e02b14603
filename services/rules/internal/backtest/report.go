package backtest

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/backlot-video/backlot/services/rules/internal/column"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Result tells how a draft differs from the live version.
type Result struct {
	Partial  bool    `json:"partial"` // ended before all events were read
	Events   int64   `json:"events"`
	Bad      int64   `json:"bad_events"`
	BadFirst []Bad   `json:"bad_first,omitempty"`
	Seconds  float64 `json:"seconds"`

	Verdicts []VerdictCount   `json:"verdicts"` // strictest last
	Matrix   []Transition     `json:"matrix"`   // those that occurred
	Changed  Share            `json:"changed"`  // verdicts
	Rerouted Share            `json:"rules_changed"`
	Score    ScoreChange      `json:"score"`
	Rules    []RuleChange     `json:"rules"` // the most changed first
	Examples []ExamplesOfKind `json:"examples"`
	Cost     Cost             `json:"cost"`
	Recorded bool             `json:"recorded_verdicts"` // Live has no rules
}

// Share is a number of events and their part of all.
type Share struct {
	Events int64   `json:"events"`
	Rate   float64 `json:"rate"`
}

// VerdictCount is how often a verdict was given.
type VerdictCount struct {
	Verdict string `json:"verdict"`
	Live    Share  `json:"live"`
	Draft   Share  `json:"draft"`
}

// Transition is how often a verdict became another, or stayed.
type Transition struct {
	Live  string `json:"live"`
	Draft string `json:"draft"`
	Share
}

// ScoreChange tells of the scores.
type ScoreChange struct {
	Changed   Share   `json:"changed"`
	MeanLive  float64 `json:"mean_live"`
	MeanDraft float64 `json:"mean_draft"`
	Lowest    int64   `json:"lowest_difference"`
	Highest   int64   `json:"highest_difference"`
}

// RuleChange is how often a rule fired.
type RuleChange struct {
	Rule  string      `json:"rule"`
	State string      `json:"state"` // added, removed, changed or same
	Live  *RuleCounts `json:"live,omitempty"`
	Draft *RuleCounts `json:"draft,omitempty"`
}

// RuleCounts is how often a rule of one version fired.
type RuleCounts struct {
	Fired  int64 `json:"fired"`
	Shadow int64 `json:"shadow"`
}

func (c *RuleCounts) total() int64 {
	if c == nil {
		return 0
	}
	return c.Fired + c.Shadow
}

// ExamplesOfKind are events of one kind of change.
type ExamplesOfKind struct {
	Change   string    `json:"change"` // verdict, score or rules
	Live     string    `json:"live"`
	Draft    string    `json:"draft"`
	Examples []Example `json:"examples"`
}

// Cost is what judging took, in nanoseconds of a worker for an event. Bound is
// the limit that the compiler states for judging one event alone.
type Cost struct {
	Decode  float64    `json:"decode_ns"`
	Count   float64    `json:"velocity_ns"`
	Compare float64    `json:"judge_ns"` // both versions and the comparison
	Live    float64    `json:"live_ns"`
	Draft   float64    `json:"draft_ns"`
	Bounds  [2]int64   `json:"bounds_live_draft"`
	Dearest []RuleCost `json:"dearest"` // of the draft
}

// RuleCost is what the condition of a rule took.
type RuleCost struct {
	Rule  string  `json:"rule"`
	Nanos float64 `json:"ns"`
	Share float64 `json:"share"` // of the draft's rules
}

// dearestShown is how many costly rules are told.
const dearestShown = 5

// result makes the result of a run.
func (r *run) result(partial bool, took time.Duration) *Result {
	t := r.tally
	result := &Result{
		Partial: partial, Events: t.events, Bad: r.config.Meter.Bad.Load(), Seconds: took.Seconds(),
		Recorded: t.verdictsRecorded, BadFirst: firstBad(r.bad),
	}
	result.verdicts(t)
	result.rules(t)
	result.examples(t)
	result.cost(t)
	return result
}

// firstBad returns the first of events that could not be read, in order.
func firstBad(bad []Bad) []Bad {
	slices.SortFunc(bad, func(a, b Bad) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Number, b.Number)) })
	return bad[:min(len(bad), maxBadShown)]
}

func (r *Result) share(n int64) Share { return Share{n, per(float64(n), r.Events)} }

// per divides by a number of events, of which there may be none.
func per(x float64, n int64) float64 {
	if n == 0 {
		return 0
	}
	return x / float64(n)
}

func (r *Result) verdicts(t *tally) {
	changed := int64(0)
	for action := syntax.Allow; action <= syntax.Deny; action++ {
		var before, after int64
		for other := syntax.Allow; other <= syntax.Deny; other++ {
			n := t.matrix[action][other]
			before, after = before+n, after+t.matrix[other][action]
			if n > 0 {
				r.Matrix = append(r.Matrix, Transition{action.String(), other.String(), r.share(n)})
			}
			if other != action {
				changed += n
			}
		}
		r.Verdicts = append(r.Verdicts, VerdictCount{action.String(), r.share(before), r.share(after)})
	}
	r.Changed, r.Rerouted = r.share(changed), r.share(t.rerouted)
	r.Score = ScoreChange{
		Changed: r.share(t.rescored), Lowest: t.lowest, Highest: t.highest,
		MeanDraft: per(float64(t.scores[0]), t.events), MeanLive: per(float64(t.scores[1]), t.events),
	}
}

func (r *Result) rules(t *tally) {
	for i := range t.pair.draft.rules {
		rule := RuleChange{Rule: t.pair.draft.rules[i].Name, State: "added", Draft: &RuleCounts{t.fired[0][i], t.shadow[0][i]}}
		if !t.verdictsRecorded {
			if other := t.twin[i]; other >= 0 {
				rule.Live = &RuleCounts{t.fired[1][other], t.shadow[1][other]}
				rule.State = t.pair.compare(&t.pair.live.rules[other], &t.pair.draft.rules[i])
			}
		} else {
			rule.State = "same"
		}
		r.Rules = append(r.Rules, rule)
	}
	for _, i := range t.removed {
		r.Rules = append(r.Rules, RuleChange{
			Rule: t.pair.live.rules[i].Name, State: "removed", Live: &RuleCounts{t.fired[1][i], t.shadow[1][i]},
		})
	}
	difference := func(c RuleChange) int64 {
		d := c.Draft.total() - c.Live.total()
		return max(d, -d)
	}
	slices.SortStableFunc(r.Rules, func(a, b RuleChange) int {
		return cmp.Or(cmp.Compare(difference(b), difference(a)), cmp.Compare(b.Draft.total(), a.Draft.total()))
	})
}

// compare tells whether a rule is the same in both versions.
func (p *pair) compare(live, draft *column.Rule) string {
	if p.program.Same(live.Rule, draft.Rule) && live.Action == draft.Action && live.Score == draft.Score &&
		live.State == draft.State && live.CanaryPPM == draft.CanaryPPM {
		return "same"
	}
	return "changed"
}

func (r *Result) examples(t *tally) {
	r.Examples = []ExamplesOfKind{}
	for kind, kept := range t.examples {
		if len(kept.kept) > 0 {
			r.Examples = append(r.Examples, ExamplesOfKind{kind.what, kind.live.String(), kind.draft.String(), kept.kept})
		}
	}
	order := []string{changedVerdict, changedScore, changedRules}
	count := func(e *ExamplesOfKind) int64 {
		for _, m := range r.Matrix {
			if e.Change == changedVerdict && m.Live == e.Live && m.Draft == e.Draft {
				return m.Events
			}
		}
		return 0
	}
	slices.SortFunc(r.Examples, func(a, b ExamplesOfKind) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Change), slices.Index(order, b.Change)), cmp.Compare(count(&b), count(&a)),
			strings.Compare(a.Live+a.Draft, b.Live+b.Draft))
	})
}

func (r *Result) cost(t *tally) {
	each := func(d time.Duration) float64 { return math.Round(per(float64(d.Nanoseconds()), t.events)*100) / 100 }
	r.Cost = Cost{Decode: each(t.decoding), Count: each(t.counting), Compare: each(t.comparing), Dearest: []RuleCost{}}
	r.Cost.Bounds[1] = t.pair.draft.cost
	if t.pair.live != nil {
		r.Cost.Bounds[0] = t.pair.live.cost
		total := time.Duration(0)
		for i := range t.pair.live.rules {
			total += t.ruleTime(&t.pair.live.rules[i])
		}
		r.Cost.Live = each(total)
	}
	total := time.Duration(0)
	for i := range t.pair.draft.rules {
		rule := &t.pair.draft.rules[i]
		took := t.ruleTime(rule)
		total += took
		r.Cost.Dearest = append(r.Cost.Dearest, RuleCost{Rule: rule.Name, Nanos: each(took)})
	}
	r.Cost.Draft = each(total)
	slices.SortStableFunc(r.Cost.Dearest, func(a, b RuleCost) int { return cmp.Compare(b.Nanos, a.Nanos) })
	r.Cost.Dearest = r.Cost.Dearest[:min(len(r.Cost.Dearest), dearestShown)]
	for i := range r.Cost.Dearest {
		if r.Cost.Draft > 0 {
			r.Cost.Dearest[i].Share = r.Cost.Dearest[i].Nanos / r.Cost.Draft
		}
	}
}
