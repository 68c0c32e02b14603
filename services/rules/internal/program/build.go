package program

import (
	"slices"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// Builder makes the index of a set, rule by rule.
type Builder struct {
	index   *Index
	parts   *parts
	axes    map[axisKey]*axis
	lengths map[*fragments][]int32 // of the chains of fragments
}

type axisKey struct{ list, slot int32 }

// NewBuilder returns a builder without rules. extra makes a slot of the fact;
// sample may be nil.
func NewBuilder(extra func() int, sample *Sample) *Builder {
	code := &Code{}
	return &Builder{
		index: &Index{code: code, postings: make([]posting, 1)}, parts: newParts(code, extra, sample),
		axes: map[axisKey]*axis{}, lengths: map[*fragments][]int32{},
	}
}

// Add adds the next rule.
func (b *Builder) Add(when *check.Node) {
	rule := int32(b.index.rules)
	b.index.rules++
	p := b.parts.of(when, false)
	if p.kind == partFalse {
		return
	}
	files, found := b.cover(p)
	if !found || files.likely > maxLikely {
		b.index.always = append(b.index.always, posting{entry: b.emit(p, accept, reject, nil), rule: rule})
		return
	}
	entry := b.emit(p, accept, reject, files.settled)
	for _, q := range files.tests {
		b.file(q, posting{entry: entry, rule: rule})
	}
}

// Build ends the building. order[i] is the number that the i-th rule added
// gets in Fire.
func (b *Builder) Build(order []int32) *Index {
	x, code := b.index, b.index.code
	for i := range x.postings {
		if i > 0 {
			x.postings[i].rule = order[x.postings[i].rule]
		}
	}
	for i := range x.always {
		x.always[i].rule = order[x.always[i].rule]
	}
	slices.SortFunc(x.always, func(a, b posting) int { return int(a.rule - b.rule) })
	for _, a := range x.axes {
		a.renumber(order)
	}
	for i := range code.tests {
		if t := &code.tests[i]; b.parts.uses[t.memo] == 1 && t.memo > 0 {
			t.memo = 0
		}
	}
	code.memos = len(b.parts.uses) - 1
	return x
}

func (a *axis) renumber(order []int32) {
	if a.numbers != nil {
		a.numbers.renumber(order)
	}
	for i := range a.amounts {
		a.amounts[i].numbers.renumber(order)
	}
}

func (n *numbers) renumber(order []int32) {
	for i := range n.above {
		n.above[i].rule = order[n.above[i].rule]
	}
	for i := range n.below {
		n.below[i].rule = order[n.below[i].rule]
	}
	for i := range n.between {
		n.between[i].rule = order[n.between[i].rule]
	}
	n.seal()
}

// emit lays out the branches of a part that go on at yes or no, and returns
// where they begin. What is settled is known to hold.
func (b *Builder) emit(p *part, yes, no int32, settled *part) int32 {
	if p == settled {
		return yes
	}
	switch p.kind {
	case partTrue:
		return yes
	case partFalse:
		return no
	case partAnd:
		for i := len(p.parts) - 1; i >= 0; i-- {
			yes = b.emit(p.parts[i], yes, no, settled)
		}
		return yes
	case partOr:
		for i := len(p.parts) - 1; i >= 0; i-- {
			no = b.emit(p.parts[i], yes, no, settled)
		}
		return no
	default:
	}
	t := p.test
	if p.body != nil {
		t.ref = b.emit(p.body, accept, reject, nil)
	}
	t.yes, t.no = yes, no
	at := b.append(t)
	if p.derived > 0 {
		at = b.append(test{op: opDerive, ref: p.derived - 1, yes: at, no: at})
	}
	return at
}

func (b *Builder) append(t test) int32 {
	code := b.index.code
	code.tests = append(code.tests, t)
	return int32(len(code.tests) - 1)
}

const (
	// maxLikely is how often a filed rule may be looked at; above, looking
	// it up costs more than it saves.
	maxLikely = 0.5
	// maxFiles bounds under how many keys a rule is filed.
	maxFiles = 64
)

// files are tests of which one holds whenever the rule does.
type files struct {
	tests   []*part
	likely  float64 // that one holds
	weight  float64 // what decides between files
	settled *part   // holds whenever one of tests does; nil if none
}

// cover finds the tests under which a part is best filed.
func (b *Builder) cover(p *part) (best files, found bool) {
	switch p.kind {
	case partAnd:
		for _, q := range p.parts {
			files, ok := b.cover(q)
			if ok && (!found || files.weight < best.weight) {
				best, found = files, true
			}
		}
		return best, found
	case partOr:
		return b.coverAny(p)
	case partTest:
		return b.coverTest(p)
	default:
		return best, false
	}
}

// coverAny files a chain of `or` under the files of all its parts.
func (b *Builder) coverAny(p *part) (all files, found bool) {
	exact := true
	for _, q := range p.parts {
		one, ok := b.cover(q)
		if !ok {
			return files{}, false
		}
		exact = exact && one.settled == q
		all.tests = append(all.tests, one.tests...)
		all.likely += one.likely
		all.weight += one.weight
	}
	if exact {
		all.settled = p
	}
	return all, len(all.tests) <= maxFiles
}

// fileCosts tell tests apart that hold equally often: by what looking one up
// takes.
var fileCosts = [...]float64{
	opIntLt: 0.01, opIntLe: 0.01, opIntGt: 0.01, opIntGe: 0.01, opIntIn: 0.01, opFloat: 0.01, opMoney: 0.01,
	opMatches: 0.02, opContains: 0.02, opAny: 0.02, opCond: 0,
}

func (b *Builder) coverTest(p *part) (files, bool) {
	one := files{tests: []*part{p}, likely: p.likely, weight: p.likely + fileCosts[p.test.op], settled: p}
	if p.test.depth > 0 {
		one.settled = nil
	}
	switch t := &p.test; t.op {
	case opFlag, opIntEq, opIntLt, opIntLe, opIntGt, opIntGe, opIntIn, opTextEq:
		return one, true
	case opFloat, opMoney:
		return one, check.Op(t.how) != check.Ne
	case opPrefix, opSuffix:
		return one, t.want && t.text != ""
	case opContains:
		one.settled = nil
		return one, t.want && t.text != ""
	case opMatches:
		one.settled = nil
		return one, t.want && p.literal != ""
	case opPresent:
		return one, !t.want && t.depth == 0
	case opInts, opTexts:
		return one, t.want
	case opList:
		return one, t.want && t.depth == 0
	case opNets:
		if !exactNets(b.index.code.nets[t.ref]) {
			one.settled = nil
		}
		return one, t.want && t.n > 0
	case opAny:
		return b.coverElements(p)
	default:
		return one, false
	}
}

// coverElements files `any` under tests of the elements.
func (b *Builder) coverElements(p *part) (files, bool) {
	if p.test.depth > 0 || !p.test.want {
		return files{}, false
	}
	body, ok := b.cover(p.body)
	if !ok {
		return files{}, false
	}
	inner := files{likely: min(1, assumedQuick*body.likely), weight: assumedQuick * body.weight}
	for _, q := range body.tests {
		if q.test.depth != uint8(p.test.n) || q.test.op == opAny {
			return files{}, false
		}
		within := *q
		within.within = p
		inner.tests = append(inner.tests, &within)
	}
	return inner, true
}
