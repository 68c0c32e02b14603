package rules

import (
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Limits of what Edit does without compiling everything.
const (
	leastEdited = 64 // rules of a program; fewer are compiled in no time
	mostEdited  = 32 // rules that differ from those compiled together
)

// Edit returns the program of another source of the same ruleset: what Compile
// with p's options and this version returns. Where few rules differ only those
// are compiled; after many edits, or where lists or tests differ, all is. p
// stays as it is. The error is an Errors.
func (p *Program) Edit(source, version string) (*Program, error) {
	if edited := p.edit(source); edited != nil {
		edited.version, edited.options.Version = version, version
		return edited, nil
	}
	options := p.options
	options.Version = version
	return Compile(p.name, source, p.schema, &options)
}

// change is where two sources of one ruleset differ: items[first:last] of the
// old one, which are rules, stand between from and to in the new one.
type change struct {
	first, last int
	from, to    int
	delta       int32 // how much further back the items behind it stand
}

// edit returns nil where all must be compiled: also when the source has a
// fault, which is then told as ever.
func (p *Program) edit(source string) *Program {
	if len(p.items) < leastEdited || len(source) > syntax.MaxSource {
		return nil
	}
	ch, ok := p.change(source)
	if !ok {
		return nil
	}
	e := &editor{old: p, change: ch}
	e.program = &Program{
		name: p.name, source: source, schema: p.schema, options: p.options, canaries: slices.Clone(p.canaries), cost: p.cost,
	}
	e.carry()
	if len(e.rules) > mostEdited || !e.compile() || !e.named() {
		return nil
	}
	return e.program
}

// change finds the items that two sources do not share.
func (p *Program) change(source string) (change, bool) {
	old := p.source
	before := commonPrefix(old, source)
	behind := commonSuffix(old[before:], source[before:])
	first, _ := slices.BinarySearchFunc(p.items, int32(before), func(i item, at int32) int { return int(i.end - at) })
	last := first
	for last < len(p.items) && int(p.items[last].start) <= len(old)-behind {
		if p.items[last].rule == nil {
			return change{}, false
		}
		last++
	}
	ch := change{first: first, last: last, to: len(source), delta: int32(len(source) - len(old))}
	if first > 0 {
		ch.from = int(p.items[first-1].end)
	}
	if last < len(p.items) {
		ch.to = int(p.items[last].start + ch.delta)
	}
	return ch, last-first <= mostEdited
}

func commonPrefix(a, b string) int {
	n, step := min(len(a), len(b)), 4096
	at := 0
	for at+step <= n && a[at:at+step] == b[at:at+step] {
		at += step
	}
	for at < n && a[at] == b[at] {
		at++
	}
	return at
}

func commonSuffix(a, b string) int {
	n, step := min(len(a), len(b)), 4096
	at := 0
	for at+step <= n && a[len(a)-at-step:len(a)-at] == b[len(b)-at-step:len(b)-at] {
		at += step
	}
	for at < n && a[len(a)-at-1] == b[len(b)-at-1] {
		at++
	}
	return at
}

// editor makes a program of another one and a change.
type editor struct {
	old     *Program
	change  change
	program *Program
	gone    []int32        // numbers of rules of the first layer
	rules   []*syntax.Rule // of the second layer, as in the source
	at      []int          // the item of each
	kept    []*Rule        // of each, what is known of it already; nil for new ones
}

// carry takes over what did not change, and reads what must be compiled: the
// rules of the change and those of the second layer.
func (e *editor) carry() {
	p, ch := e.program, e.change
	p.items = make([]item, 0, len(e.old.items)+mostEdited)
	for i, it := range e.old.items[:ch.first] {
		p.items = append(p.items, it)
		e.again(it, i)
	}
	for _, it := range e.old.items[ch.first:ch.last] {
		p.cost -= it.rule.cost
		if !it.edited {
			e.gone = append(e.gone, it.rule.number)
		}
	}
	if !e.read(ch.from, ch.to) {
		return
	}
	for _, it := range e.old.items[ch.last:] {
		it.start, it.end = it.start+ch.delta, it.end+ch.delta
		p.items = append(p.items, it)
		e.again(it, len(p.items)-1)
	}
}

// again reads a rule of the second layer again.
func (e *editor) again(it item, at int) {
	if !it.edited {
		return
	}
	reader := syntax.NewPartReader(e.program.source, int(it.start), int(it.end))
	if rule, ok := reader.Next().(*syntax.Rule); ok {
		e.rules, e.at, e.kept = append(e.rules, rule), append(e.at, at), append(e.kept, it.rule)
	}
}

// read reads the rules of a part of the source. Too many rules tell that it
// cannot be done.
func (e *editor) read(from, to int) bool {
	reader := syntax.NewPartReader(e.program.source, from, to)
	for next := reader.Next(); next != nil && len(e.rules) <= mostEdited; next = reader.Next() {
		rule, ok := next.(*syntax.Rule)
		if !ok {
			return e.refuse()
		}
		e.rules, e.at, e.kept = append(e.rules, rule), append(e.at, len(e.program.items)), append(e.kept, nil)
		e.program.items = append(e.program.items, item{start: rule.Span.Start, end: rule.Span.End, edited: true})
	}
	if len(reader.Faults()) > 0 {
		return e.refuse()
	}
	return true
}

// refuse lets all be compiled.
func (e *editor) refuse() bool {
	e.rules = make([]*syntax.Rule, mostEdited+1)
	return false
}

// compile makes the second layer and reports whether it could.
func (e *editor) compile() bool {
	p := e.program
	c := &compiler{program: p, line: 1, checker: e.old.set.Continue(), builder: program.NewBuilder(nil, 0)}
	for i, plan := range e.rules {
		rule := c.rule(plan)
		if rule.place = e.place(e.at[i], e.kept[i]); rule.place == 0 {
			return false
		}
		if e.kept[i] != nil {
			p.cost -= rule.cost // it is in the sum
		}
		p.items[e.at[i]].rule = rule
	}
	if len(c.check()) > 0 {
		return false
	}
	e.finish(c)
	return true
}

// place orders a new rule between its neighbours; 0 where there is no room.
func (e *editor) place(at int, kept *Rule) int64 {
	items := e.program.items
	if kept != nil {
		return kept.place
	}
	var before, behind int64
	for i := at - 1; i >= 0 && before == 0; i-- {
		if rule := items[i].rule; rule != nil {
			before = rule.place
		}
	}
	for i := at + 1; i < len(items) && behind == 0; i++ {
		if rule := items[i].rule; rule != nil {
			behind = rule.place
		}
	}
	if behind == 0 {
		behind = before + 2<<placeBits
	}
	if behind-before < 2 {
		return 0
	}
	return before + (behind-before)/2
}

// finish puts the layers together and moves the lines of what stands behind
// the change.
func (e *editor) finish(c *compiler) {
	p := e.program
	p.layout, p.testLines = p.set.Layout, e.old.testLines
	first := e.old.layers[0]
	first.index = first.index.Without(e.gone)
	lines := strings.Count(p.source, "\n") - strings.Count(e.old.source, "\n")
	if lines != 0 {
		first.rules = e.moved(first.rules, lines)
	}
	p.layers = []layer{first, c.layer()}
	p.windows = program.NewWindows(p.set, p.options.Counters, p.options.Scope)
	p.events.New = func() any { return p.NewEvent() }
	p.tracer = p.lazyTracer()
}

// moved returns the rules of the first layer with their lines, and moves the
// lines of the tests.
func (e *editor) moved(rules []*Rule, lines int) []*Rule {
	rules = slices.Clone(rules)
	p := e.program
	p.testLines = slices.Clone(p.testLines)
	test := 0
	for i := range p.items {
		it := &p.items[i]
		behind := int(it.start) >= e.change.to
		switch {
		case it.test:
			if behind {
				p.testLines[test] += lines
			}
			test++
		case it.rule != nil && !it.edited && behind:
			rule := *it.rule
			rule.Line += lines
			it.rule, rules[rule.number] = &rule, &rule
		}
	}
	return rules
}

// named reports whether the names are as they must be: none twice, none gone
// that a test asks for.
func (e *editor) named() bool {
	names := make(map[string]int, len(e.rules))
	for _, rule := range e.rules {
		names[rule.Name.Name] = 0
	}
	for _, it := range e.old.items[e.change.first:e.change.last] {
		names[it.rule.Name] = 0
	}
	for i := range e.program.items {
		if rule := e.program.items[i].rule; rule != nil {
			if count, ours := names[rule.Name]; ours {
				names[rule.Name] = count + 1
			}
		}
	}
	for _, test := range e.program.set.Tests {
		for _, name := range test.Because {
			if count, ours := names[name.Name]; ours && count == 0 {
				return false
			}
		}
	}
	for _, count := range names {
		if count > 1 {
			return false
		}
	}
	return true
}
