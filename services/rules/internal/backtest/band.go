package backtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Band is a limit of a result: a measure, an operator and a number, as in
// deny-rate>2%. It is broken when the comparison holds.
type Band struct {
	text    string
	measure string
	op      string
	limit   float64
}

// Measures are what a band can limit. ACTION is allow, challenge, review or
// deny, NAME the name of a rule of the draft.
const Measures = "ACTION-rate (share of the draft's verdicts), ACTION-change (by which the share grew), change-rate (share of verdicts that changed), " +
	"rule:NAME (share of events for which it fired), score (mean), score-change (of the mean), cost (time of the draft by that of the live version), bad-events, events"

// ParseBand parses a band.
func ParseBand(text string) (Band, error) {
	b := Band{text: text}
	at := strings.IndexAny(text, "<>")
	if at < 1 {
		return b, fmt.Errorf("%q: want a measure, < or > and a number, as in deny-rate>2%%", text)
	}
	b.measure, b.op = strings.TrimSpace(text[:at]), text[at:at+1]
	rest := text[at+1:]
	if strings.HasPrefix(rest, "=") {
		b.op, rest = b.op+"=", rest[1:]
	}
	number, percent := strings.CutSuffix(strings.TrimSpace(rest), "%")
	limit, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return b, fmt.Errorf("%q: %q is no number", text, rest)
	}
	if b.limit = limit; percent {
		b.limit /= 100
	}
	if strings.HasPrefix(b.measure, "rule:") {
		return b, nil
	}
	if _, err := b.value(&Result{Verdicts: noVerdicts()}); err != nil {
		return b, err
	}
	return b, nil
}

func noVerdicts() (all []VerdictCount) {
	for action := syntax.Allow; action <= syntax.Deny; action++ {
		all = append(all, VerdictCount{Verdict: action.String()})
	}
	return all
}

// String returns the band as it was written.
func (b Band) String() string { return b.text }

// value is what the band limits.
func (b Band) value(r *Result) (float64, error) {
	switch b.measure {
	case "change-rate":
		return r.Changed.Rate, nil
	case "score":
		return r.Score.MeanDraft, nil
	case "score-change":
		return r.Score.MeanDraft - r.Score.MeanLive, nil
	case "bad-events":
		return float64(r.Bad), nil
	case "events":
		return float64(r.Events), nil
	case "cost":
		if r.Cost.Live == 0 {
			return 0, nil
		}
		return r.Cost.Draft / r.Cost.Live, nil
	}
	if name, ok := strings.CutPrefix(b.measure, "rule:"); ok {
		i := slices.IndexFunc(r.Rules, func(rule RuleChange) bool { return rule.Rule == name && rule.Draft != nil })
		if i < 0 {
			return 0, fmt.Errorf("%q: the draft has no rule %q", b.text, name)
		}
		return per(float64(r.Rules[i].Draft.Fired), r.Events), nil
	}
	action, what, _ := strings.Cut(b.measure, "-")
	for i := range r.Verdicts {
		switch v := &r.Verdicts[i]; {
		case v.Verdict != action:
		case what == "rate":
			return v.Draft.Rate, nil
		case what == "change":
			return v.Draft.Rate - v.Live.Rate, nil
		}
	}
	return 0, fmt.Errorf("%q: unknown measure %q; there are %s", b.text, b.measure, Measures)
}

// Broken tells how a result breaks the band; empty when it keeps it.
func (b Band) Broken(r *Result) (string, error) {
	v, err := b.value(r)
	if err != nil {
		return "", err
	}
	broken := map[string]bool{"<": v < b.limit, "<=": v <= b.limit, ">": v > b.limit, ">=": v >= b.limit}[b.op]
	if !broken {
		return "", nil
	}
	shown := strconv.FormatFloat(v, 'g', 4, 64)
	if strings.HasSuffix(b.text, "%") {
		shown = strconv.FormatFloat(v*100, 'g', 4, 64) + "%"
	}
	return fmt.Sprintf("%s: it is %s", b.text, shown), nil
}
