package backtest

import (
	"slices"
	"time"

	"github.com/backlot-video/backlot/services/rules/internal/column"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

const actions = int(syntax.Deny) + 1

// tally is what a worker, or all of them, counted.
type tally struct {
	pair   *pair
	config *Config
	state  *column.State
	others []*column.State // of the workers merged

	twin    []int // by draft rule: the live rule of its name, or -1
	removed []int // live rules that the draft does not have

	events           int64
	matrix           [actions][actions]int64 // live, draft
	fired, shadow    [2][]int64              // by rule; draft, live
	rescored         int64                   // events whose score changed
	scores           [2]int64                // sums
	lowest, highest  int64                   // difference of scores
	rerouted         int64                   // equal verdict and score, other rules
	examples         map[change]*reservoir
	decoding         time.Duration
	counting         time.Duration
	comparing        time.Duration
	verdictsRecorded bool
}

// change is a kind of change, for which examples are kept.
type change struct {
	live, draft syntax.Action
	what        string
}

// The kinds of changes.
const (
	changedVerdict = "verdict"
	changedScore   = "score"
	changedRules   = "rules"
)

func newTally(p *pair, config *Config) *tally {
	t := &tally{pair: p, config: config, examples: map[change]*reservoir{}, verdictsRecorded: p.live == nil}
	t.fired[0], t.shadow[0] = make([]int64, len(p.draft.rules)), make([]int64, len(p.draft.rules))
	if p.live == nil {
		return t
	}
	t.fired[1], t.shadow[1] = make([]int64, len(p.live.rules)), make([]int64, len(p.live.rules))
	byName := map[string]int{}
	for i := range p.live.rules {
		byName[p.live.rules[i].Name] = i
	}
	for i := range p.draft.rules {
		other, ok := byName[p.draft.rules[i].Name]
		if !ok {
			other = -1
		}
		t.twin = append(t.twin, other)
	}
	for i := range p.live.rules {
		if !slices.Contains(t.twin, i) {
			t.removed = append(t.removed, i)
		}
	}
	return t
}

// add counts the batch that a worker has judged.
func (t *tally) add(w *worker) {
	t.events += int64(w.batch.N)
	t.count(0, &w.draft)
	if !t.verdictsRecorded {
		t.count(1, &w.live)
	}
	for row := range w.batch.N {
		before, after := w.live.Actions[row], w.draft.Actions[row]
		t.matrix[before][after]++
		t.scores[0] += w.draft.Scores[row]
		difference := int64(0)
		if !t.verdictsRecorded {
			t.scores[1] += w.live.Scores[row]
			if difference = w.draft.Scores[row] - w.live.Scores[row]; difference != 0 {
				t.rescored++
				t.lowest, t.highest = min(t.lowest, difference), max(t.highest, difference)
			}
		}
		switch {
		case before != after:
			t.example(w, row, change{before, after, changedVerdict})
		case difference != 0:
			t.example(w, row, change{before, after, changedScore})
		case w.differ.Has(row):
			t.rerouted++
			t.example(w, row, change{before, after, changedRules})
		}
	}
}

func (t *tally) count(side int, v *column.Verdicts) {
	for i := range v.Fired {
		t.fired[side][i] += int64(v.Fired[i].Count())
		t.shadow[side][i] += int64(v.Shadow[i].Count())
	}
}

// example keeps a row as an example, perhaps.
func (t *tally) example(w *worker, row int, kind change) {
	kept := t.examples[kind]
	if kept == nil {
		kept = &reservoir{}
		t.examples[kind] = kept
	}
	at := &w.origins[row]
	order := rank(t.config.Seed, w.piece0.in.number, at.number)
	if !kept.wants(order, t.config.Samples) {
		return
	}
	e := Example{File: w.piece0.in.name, Number: at.number, rank: order, Event: eventText(at, t.pair.plan, &w.batch, row)}
	e.Draft = judged(t.pair.draft.rules, &w.draft, row)
	if t.verdictsRecorded {
		e.Live.Verdict = w.live.Actions[row].String()
	} else {
		e.Live = judged(t.pair.live.rules, &w.live, row)
	}
	kept.add(e, t.config.Samples)
}

func judged(rules []column.Rule, v *column.Verdicts, row int) Judged {
	j := Judged{Verdict: v.Actions[row].String(), Score: v.Scores[row]}
	for i := range rules {
		if v.Fired[i] != nil && v.Fired[i].Has(row) {
			j.Fired = append(j.Fired, rules[i].Name)
		}
	}
	return j
}

// merge adds what another worker counted.
func (t *tally) merge(o *tally) {
	t.events += o.events
	for before := range t.matrix {
		for after := range t.matrix[before] {
			t.matrix[before][after] += o.matrix[before][after]
		}
	}
	for side := range t.fired {
		for i := range t.fired[side] {
			t.fired[side][i] += o.fired[side][i]
			t.shadow[side][i] += o.shadow[side][i]
		}
		t.scores[side] += o.scores[side]
	}
	t.rescored, t.rerouted = t.rescored+o.rescored, t.rerouted+o.rerouted
	t.lowest, t.highest = min(t.lowest, o.lowest), max(t.highest, o.highest)
	for kind, kept := range o.examples {
		if t.examples[kind] == nil {
			t.examples[kind] = &reservoir{}
		}
		for _, e := range kept.kept {
			if t.examples[kind].wants(e.rank, t.config.Samples) {
				t.examples[kind].add(e, t.config.Samples)
			}
		}
	}
	t.decoding, t.counting, t.comparing = t.decoding+o.decoding, t.counting+o.counting, t.comparing+o.comparing
	t.others = append(t.others, o.state)
}

// ruleTime is the time that all workers spent on a rule's condition.
func (t *tally) ruleTime(rule *column.Rule) time.Duration {
	took := t.state.Cost(rule.Rule)
	for _, other := range t.others {
		took += other.Cost(rule.Rule)
	}
	return took
}
