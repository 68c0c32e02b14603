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
		late: p.late,
	}
	if !e.read() || !e.named() || !e.compile() {
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

// late is what the second layer has besides rules.
type late struct {
	rules int      // of the second layer
	gone  []string // names of rules of the first layer that are not in force
}

// editor makes a program of another one and a change.
type editor struct {
	old     *Program
	change  change
	program *Program
	text    string         // what stands where the sources differ
	rules   []*syntax.Rule // of it
	gone    []int32        // numbers of rules of the first layer that go
	lines   int            // more that the source has now
}

// read reads the rules that stand where the sources differ. It reports whether
// the program can be made of the old one and of these.
func (e *editor) read() bool {
	p, ch := e.program, e.change
	if ch.from > 0 && strings.HasPrefix(p.source[ch.from:], "\uFEFF") {
		return false // it may stand at the begin of a source only
	}
	// What is read of a copy does not keep the source in memory.
	e.text = strings.Clone(p.source[ch.from:ch.to])
	e.lines = strings.Count(e.text, "\n") - strings.Count(e.old.source[ch.from:ch.to-int(ch.delta)], "\n")
	reader := syntax.NewReader(e.text)
	for next := reader.Next(); next != nil; next = reader.Next() {
		rule, ok := next.(*syntax.Rule)
		if !ok || len(e.rules) == mostEdited {
			return false
		}
		e.rules = append(e.rules, rule)
	}
	if len(reader.Faults()) > 0 {
		return false
	}
	e.arrange()
	return p.late.rules <= mostEdited && len(p.late.gone) <= mostEdited && len(p.items) <= syntax.MaxItems
}

// arrange puts the items in place of which the source consists.
func (e *editor) arrange() {
	p, ch := e.program, e.change
	before, removed, behind := e.old.items[:ch.first], e.old.items[ch.first:ch.last], e.old.items[ch.last:]
	p.late.gone = slices.Clip(p.late.gone)
	for _, it := range removed {
		p.cost -= it.rule.cost
		if it.edited {
			p.late.rules--
			continue
		}
		e.gone = append(e.gone, it.rule.number)
		p.late.gone = append(p.late.gone, it.rule.Name)
	}
	p.late.rules += len(e.rules)
	p.items = make([]item, 0, len(before)+len(e.rules)+len(behind))
	p.items = append(p.items, before...)
	for _, rule := range e.rules {
		start, end := rule.Span.Start+int32(ch.from), rule.Span.End+int32(ch.from)
		p.items = append(p.items, item{start: start, end: end, edited: true})
	}
	p.items = append(p.items, behind...)
	if ch.delta == 0 {
		return
	}
	moved := p.items[len(before)+len(e.rules):]
	for i := range moved {
		moved[i].start += ch.delta
		moved[i].end += ch.delta
	}
}

// named reports whether the names are as they must be: none twice, none gone
// that a test asks for.
func (e *editor) named() bool {
	there := make(map[string]bool, mostEdited)
	for i, left := 0, e.program.late.rules-len(e.rules); left > 0; i++ {
		if it := &e.program.items[i]; it.edited && it.rule != nil {
			there[it.rule.Name] = true
			left--
		}
	}
	for _, rule := range e.rules {
		if name := rule.Name.Name; there[name] || e.first(name) {
			return false
		}
		there[rule.Name.Name] = true
	}
	for _, it := range e.old.items[e.change.first:e.change.last] {
		if name := it.rule.Name; !there[name] && e.wanted(name) {
			return false
		}
	}
	return true
}

// first reports whether a rule of the first layer that stays has a name.
func (e *editor) first(name string) bool {
	return e.old.set.Named(name) && !slices.Contains(e.program.late.gone, name)
}

// wanted reports whether a test asks for a rule.
func (e *editor) wanted(rule string) bool {
	for _, test := range e.old.set.Tests {
		if slices.ContainsFunc(test.Because, func(name syntax.Ident) bool { return name.Name == rule }) {
			return true
		}
	}
	return false
}

// compile makes the second layer and reports whether it could. Its rules that
// were there before have been checked.
func (e *editor) compile() bool {
	p, ch := e.program, e.change
	c := &compiler{program: p, checker: e.old.set.Continue(), builder: program.NewBuilder(nil, 0, 0), edits: true}
	c.text, c.line = e.text, e.line()
	fresh := e.rules
	for at, left := 0, p.late.rules; left > 0; at++ {
		it := &p.items[at]
		switch {
		case !it.edited:
			continue
		case it.rule != nil:
			rule := *it.rule
			if at >= ch.first {
				rule.Line += e.lines
			}
			it.rule = &rule
			c.again(it.rule)
		default:
			it.rule = c.rule(fresh[0])
			fresh = fresh[1:]
			if it.rule.place = e.place(at); it.rule.place == 0 {
				return false
			}
		}
		left--
	}
	if len(c.check()) > 0 {
		return false
	}
	e.finish(c)
	return true
}

// line is the number of the line where the sources begin to differ.
func (e *editor) line() int {
	for i := e.change.first - 1; i >= 0; i-- {
		if it := &e.old.items[i]; it.rule != nil {
			return it.rule.Line + strings.Count(e.program.source[it.start:e.change.from], "\n")
		}
	}
	return 1 + strings.Count(e.program.source[:e.change.from], "\n")
}

// place orders a new rule between its neighbours; 0 where there is no room.
func (e *editor) place(at int) int64 {
	items := e.program.items
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
	if e.lines != 0 {
		first.rules = e.moved(first.rules)
	}
	p.layers = []layer{first, c.layer()}
	p.windows = program.NewWindows(p.set, p.options.Counters, p.options.Scope)
	p.events.New = func() any { return p.NewEvent() }
	p.tracer = p.lazyTracer()
}

// moved returns the rules of the first layer with their lines, and moves the
// lines of the tests.
func (e *editor) moved(rules []*Rule) []*Rule {
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
				p.testLines[test] += e.lines
			}
			test++
		case it.rule != nil && !it.edited && behind:
			rule := *it.rule
			rule.Line += e.lines
			it.rule, rules[rule.number] = &rule, &rule
		}
	}
	return rules
}
