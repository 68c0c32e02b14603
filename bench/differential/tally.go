package differential

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tally counts verdicts, and differences between ours and the peers by what
// explains them.
type tally struct {
	verdicts, holds int
	explained       map[string]int
}

// reasons are the ways in which a peer differs, alone.
var reasons = []struct {
	name string
	of   func(s Semantics) Semantics
}{
	{"whole numbers out of range wrap around", func(s Semantics) Semantics { return Semantics{Wraps: s.Wraps} }},
	{"decimals are infinite or NaN", func(s Semantics) Semantics { return Semantics{Infinite: s.Infinite, LeastOfNaN: s.LeastOfNaN} }},
	{"the remainder of the least number by -1 is an error", func(s Semantics) Semantics { return Semantics{Remainder: s.Remainder} }},
	{"an error ends the evaluation", func(s Semantics) Semantics { return Semantics{Stops: s.Stops} }},
}

// count explains the verdicts on one fact.
func (t *tally) count(n *node, f element, verdicts ...bool) {
	t.verdicts++
	t.holds += int(bit(verdicts[ours]))
	for l, verdict := range verdicts {
		if verdict == verdicts[ours] {
			continue
		}
		if t.explained == nil {
			t.explained = map[string]int{}
		}
		t.explained[language(l).String()+": "+explain(n, f, verdict, semantics[l])]++
	}
}

// explain names the first difference that alone makes the peer's verdict.
func explain(n *node, f element, verdict bool, s Semantics) string {
	for _, reason := range reasons {
		if holds(n, f, reason.of(s)) == verdict {
			return reason.name
		}
	}
	return "several of these at once"
}

func (t *tally) add(o tally) {
	t.verdicts += o.verdicts
	t.holds += o.holds
	if t.explained == nil {
		t.explained = map[string]int{}
	}
	for reason, n := range o.explained {
		t.explained[reason] += n
	}
}

// String lists the explanations.
func (t *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d verdicts, %d true; differences of design:", t.verdicts, t.holds)
	for _, reason := range slices.Sorted(maps.Keys(t.explained)) {
		fmt.Fprintf(&b, "\n%7d %s", t.explained[reason], reason)
	}
	return b.String()
}
