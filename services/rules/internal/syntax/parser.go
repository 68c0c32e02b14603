// Package syntax reads and prints the rule language: lexer.go and number.go
// cut a source into tokens, parser.go reads rules, lists and tests, expr.go
// expressions (Pratt), ast.go holds the tree, format.go prints it. It knows
// grammar only: names and types are checked by package check.
package syntax

import (
	"fmt"
	"strconv"
)

// Limits of a source. Beyond them Parse reports a fault.
const (
	MaxSource   = 8 << 20 // bytes
	MaxItems    = 50_000  // rules, lists and tests
	MaxDepth    = 64      // of nested expressions
	MaxNodes    = 10_000  // of one rule's expression
	MaxElements = 10_000  // of a list in the source
	MaxFaults   = 20      // reported for one source
	MaxScore    = 1_000_000
	MaxTags     = 16
	maxName     = 128 // bytes
)

// parser holds the token being looked at. After a fault it is stuck: tok is
// tokEnd, so every loop ends, until resync finds the next item.
type parser struct {
	lexer  lexer
	tok    token
	last   int32 // end of the token before tok
	faults []Fault
	stuck  bool
	depth  int
	nodes  int
	made   *nodes

	stencils *Stencils // nil: trees only
	patterns []*Fill   // of stencils, since the last Release
	deepest  int       // of the expressions of the item
	before   ending    // of a rule read before
}

func (p *parser) next() {
	if p.stuck {
		return
	}
	p.last = p.tok.span.End
	p.lexer.next(&p.tok)
	if p.lexer.fault.Message != "" {
		fault := p.lexer.fault
		p.lexer.fault = Fault{}
		p.fail(fault.Span, fault.Message, fault.Help)
	}
}

func (p *parser) fail(span Span, message, help string) {
	if p.stuck {
		return
	}
	p.faults = append(p.faults, Fault{span, message, help})
	p.stuck = true
	p.lexer.pos = max(p.lexer.pos, int(span.End))
	if p.tok.span == span && p.atItem() {
		p.lexer.pos, p.lexer.occupied = int(span.Start), false
	}
	p.tok = token{span: span}
}

// atItem reports whether the current token begins an item: its keyword at the
// begin of a line.
func (p *parser) atItem() bool {
	return p.tok.first && (p.tok.word == wordRule || p.tok.word == wordTest || p.tok.word == wordList)
}

// unexpected fails at the current token.
func (p *parser) unexpected(want, help string) {
	p.fail(p.tok.span, "expected "+want+", found "+p.describe(), help)
}

func (p *parser) describe() string {
	if p.tok.kind == tokEnd {
		return "the end of the source"
	}
	text := p.lexer.src[p.tok.span.Start:p.tok.span.End]
	if len(text) > 40 {
		text = text[:40] + "..."
	}
	return "'" + text + "'"
}

// resync moves to the next keyword of an item that begins a line.
func (p *parser) resync() {
	p.stuck = false
	for {
		p.lexer.next(&p.tok)
		bad := p.lexer.fault.Message != ""
		p.lexer.fault = Fault{}
		if bad {
			p.lexer.pos = max(p.lexer.pos+1, int(p.tok.span.End))
			continue
		}
		if p.tok.kind == tokEnd {
			return
		}
		if p.atItem() {
			return
		}
	}
}

func (p *parser) is(word Word) bool { return p.tok.kind == tokIdent && p.tok.word == word }

func (p *parser) isPunct(c punct) bool { return p.tok.kind == tokPunct && p.tok.punct == c }

func (p *parser) accept(word Word) bool {
	if !p.is(word) {
		return false
	}
	p.next()
	return true
}

func (p *parser) acceptPunct(c punct) bool {
	if !p.isPunct(c) {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(word Word) {
	if !p.accept(word) {
		p.unexpected("'"+spelling[word][0]+"'", "")
	}
}

func (p *parser) expectPunct(c byte) {
	if !p.acceptPunct(punct(c)) {
		p.unexpected("'"+string(c)+"'", "")
	}
}

// name reads any identifier, keywords included where the place is clear.
func (p *parser) name(what string) Ident {
	id := Ident{p.tok.text, p.tok.span}
	if p.tok.kind != tokIdent {
		p.unexpected(what, "")
		return id
	}
	if len(id.Name) > maxName {
		p.fail(id.Span, "name longer than "+strconv.Itoa(maxName)+" bytes", "")
	}
	p.next()
	return id
}

// item reads a rule, list or test. It means nothing when the parser is stuck.
func (p *parser) item() Item {
	start := p.tok.span.Start
	switch {
	case p.is(wordRule):
		rule := p.rule()
		rule.Span = Span{start, p.last}
		return rule
	case p.is(wordList):
		list := p.list()
		list.Span = Span{start, p.last}
		return list
	case p.is(wordTest):
		test := p.test()
		test.Span = Span{start, p.last}
		return test
	}
	help := ""
	if p.tok.kind == tokIdent {
		help = Suggest(p.tok.text, []string{"rule", "list", "test"})
	}
	p.unexpected("'rule', 'list' or 'test'", help)
	return nil
}

func (p *parser) rule() *Rule {
	rule := p.made.rules.Get()
	if !p.plain(rule) {
		p.condition(rule)
	}
	if p.again(rule) {
		return rule
	}
	then := p.tok.span.Start
	if !p.accept(wordThen) {
		p.unexpected("'and', 'or' or 'then'", p.exprHelp())
	}
	p.effect(rule)
	p.remember(rule, then)
	return rule
}

// condition reads a rule from its keyword to what follows its condition.
func (p *parser) condition(rule *Rule) {
	p.next()
	rule.Name = p.name("the name of the rule")
	if p.tok.kind == tokLiteral && p.tok.lit == StringLit {
		rule.Title = p.literal()
	}
	p.header(rule)
	if !p.accept(wordWhen) {
		p.unexpected("'when'", "a rule is: rule name when condition then action")
	}
	if p.stuck || !p.terms(rule, int(p.tok.span.Start)) {
		rule.When = p.expr(0)
	}
}

// header reads what stands between the name and `when`, in any order.
func (p *parser) header(rule *Rule) {
	var seen [wordCount]bool
	for p.tok.kind == tokIdent && !p.is(wordWhen) {
		word, span := p.tok.word, p.tok.span
		mark := word
		if word == wordShadow || word == wordCanary {
			mark = wordLive
		}
		if seen[mark] {
			p.fail(span, "'"+p.tok.text+"' is given twice", "")
		}
		seen[mark] = true
		switch word {
		case wordPriority:
			p.next()
			rule.Priority = p.integer("a priority", -MaxScore, MaxScore)
		case wordTags:
			p.next()
			p.tags(rule)
		case wordLive:
			p.next()
		case wordShadow:
			p.next()
			rule.State = Shadow
		case wordCanary:
			p.next()
			p.canary(rule)
		default:
			p.unexpected("'when'", Suggest(p.tok.text, []string{"when", "priority", "tags", "live", "shadow", "canary"}))
		}
	}
}

func (p *parser) tags(rule *Rule) {
	for {
		if len(rule.Tags) == MaxTags {
			p.fail(p.tok.span, "more than "+strconv.Itoa(MaxTags)+" tags", "")
		}
		rule.Tags = append(rule.Tags, p.name("a tag"))
		if !p.acceptPunct(',') {
			return
		}
	}
}

// canary reads `5% by field`; the share may have decimals.
func (p *parser) canary(rule *Rule) {
	rule.State = Canary
	span := p.tok.span
	share := p.tok.float
	if p.tok.lit == IntLit {
		share = float64(p.tok.num)
	}
	if p.tok.kind != tokLiteral || p.tok.lit > FloatLit {
		p.unexpected("a percentage", "as in canary 5% by viewer_id")
		return
	}
	p.next()
	rule.Percent = p.lexer.src[span.Start:span.End]
	p.expectPunct('%')
	if share < 0 || share > 100 {
		p.fail(span, "a percentage is between 0 and 100", "")
	}
	rule.CanaryPPM = int64(share*10_000 + 0.5)
	p.expect(wordBy)
	rule.CanaryBy = p.path()
}

// effect reads what follows `then`: an action, then score and reason.
func (p *parser) effect(rule *Rule) {
	rule.Action = p.action()
	for !p.stuck {
		switch {
		case p.is(wordScore) && !rule.HasScore:
			p.next()
			rule.Score, rule.HasScore = p.integer("a score", -MaxScore, MaxScore), true
		case p.is(wordReason) && rule.Reason == nil:
			p.next()
			rule.Reason = p.made.idents.Get()
			*rule.Reason = p.name("a reason")
		case p.is(wordScore) || p.is(wordReason):
			p.fail(p.tok.span, "'"+p.tok.text+"' is given twice", "")
		default:
			return
		}
	}
}

func (p *parser) action() Action {
	action := p.tok.word.action()
	if p.tok.kind != tokIdent || action == 0 {
		p.unexpected("an action", p.actionHelp())
		return 0
	}
	p.next()
	return action
}

func (p *parser) actionHelp() string {
	known := []string{"allow", "challenge", "review", "deny"}
	if help := Suggest(p.tok.text, known); p.tok.kind == tokIdent && help != "" {
		return help
	}
	return "the actions are allow, challenge, review and deny"
}

// integer reads a whole number with an optional sign.
func (p *parser) integer(what string, low, high int64) int64 {
	start := p.tok.span.Start
	negative := p.acceptPunct('-')
	if p.tok.kind != tokLiteral || p.tok.lit != IntLit {
		p.unexpected(what, "a whole number")
		return 0
	}
	value := p.tok.num
	if negative {
		value = -value
	}
	if value < low || value > high {
		p.fail(Span{start, p.tok.span.End}, fmt.Sprintf("%s is between %d and %d", what, low, high), "")
	}
	p.next()
	return value
}

// list reads `list @name = ["a", 10.0.0.0/8]` and `list @bins prefix = ["424242"]`.
func (p *parser) list() *List {
	p.next()
	list := &List{}
	if p.tok.kind != tokListName {
		p.unexpected("'@' and the name of the list", "as in list @partners = [\"a\", \"b\"]")
	}
	list.Name = Ident{p.tok.text, p.tok.span}
	p.next()
	if word := p.tok.word; p.tok.kind == tokIdent && (word == wordExact || word == wordPrefix || word == wordCIDR) {
		list.Match = word
		p.next()
	} else if p.tok.kind == tokIdent {
		p.unexpected("'='", "entries match as exact, prefix or cidr")
	}
	p.expectPunct('=')
	p.expectPunct('[')
	for !p.stuck && !p.isPunct(']') {
		if p.tok.kind != tokLiteral || (p.tok.lit != StringLit && p.tok.lit != AddressLit) {
			p.unexpected("a string or an IP address", "")
		}
		if len(list.Entries) == MaxElements {
			p.fail(p.tok.span, fmt.Sprintf("more than %d elements", MaxElements), "keep long lists outside of the source")
		}
		list.Entries = append(list.Entries, p.literal())
		if !p.acceptPunct(',') {
			break
		}
	}
	p.expectPunct(']')
	return list
}

// test reads `test "name" given {...} expect action because rule, rule`.
func (p *parser) test() *Test {
	p.next()
	test := &Test{}
	if p.tok.kind != tokLiteral || p.tok.lit != StringLit {
		p.unexpected("the name of the test", "as in test \"new account at night\"")
		return test
	}
	test.Name = p.literal()
	p.expect(wordGiven)
	test.Given = p.object()
	p.expect(wordExpect)
	test.ExpectAs = p.tok.span
	test.Expect = p.action()
	if p.accept(wordScore) {
		start := p.tok.span.Start
		value := p.integer("a score", -1<<40, 1<<40)
		span := Span{start, p.last}
		test.Score = &Literal{Span: span, Kind: IntLit, Int: value, Raw: strconv.FormatInt(value, 10)}
	}
	if p.accept(wordBecause) {
		for {
			test.Because = append(test.Because, p.name("the name of a rule"))
			if !p.acceptPunct(',') {
				break
			}
		}
	}
	return test
}
