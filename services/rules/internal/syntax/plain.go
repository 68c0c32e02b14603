package syntax

import "strings"

// Most rules of a large set have nothing between name and `when`, and end as
// another one did: these are not cut into tokens.

// plain reads a rule from its keyword to its `then`, which is the next token,
// where it is its name and conditions of stencils. Otherwise it leaves the
// parser as it was.
func (p *parser) plain(rule *Rule) bool {
	if p.stencils == nil {
		return false
	}
	l := &p.lexer
	start := l.spaces(l.pos)
	end := l.identEnd(start)
	at := l.spaces(end)
	if end == start || end-start > maxName || !strings.HasPrefix(l.src[at:], "when ") {
		return false
	}
	if !p.terms(rule, l.spaces(at+len("when "))) {
		return false
	}
	rule.Name = Ident{l.src[start:end], Span{int32(start), int32(end)}}
	return true
}

// ending is how a rule ended, from its `then` to the keyword of the next one.
type ending struct {
	text   string // to the end of that keyword; empty: there was none
	last   int    // where in it the rule ends
	word   int    // where in it the keyword begins
	action Action
	score  int64
	scored bool
	reason Ident // its span is within text; without a name: there is none
}

// remember keeps how a rule ended whose `then` stands at a place, if the next
// token is the keyword of another rule.
func (p *parser) remember(rule *Rule, then int32) {
	if p.stencils == nil || p.stuck || !p.is(wordRule) || !p.tok.first {
		return
	}
	text := p.lexer.src[then:p.tok.span.End]
	if strings.Contains(text, "#") {
		return
	}
	p.before = ending{
		text: text, last: int(p.last - then), word: int(p.tok.span.Start - then),
		action: rule.Action, score: rule.Score, scored: rule.HasScore,
	}
	if rule.Reason != nil {
		p.before.reason = Ident{rule.Reason.Name, rule.Reason.Span.shift(-then)}
	}
}

// again reads the end of a rule where that is like the one remembered; the next
// token is its `then`. Otherwise it leaves the parser as it was.
func (p *parser) again(rule *Rule) bool {
	then, e := p.tok.span.Start, &p.before
	rest := p.lexer.src[then:]
	if e.text == "" || p.stuck || !strings.HasPrefix(rest, e.text) || !strings.HasPrefix(rest[len(e.text):], " ") {
		return false
	}
	rule.Action, rule.Score, rule.HasScore = e.action, e.score, e.scored
	if e.reason.Name != "" {
		rule.Reason = p.made.idents.Get()
		*rule.Reason = Ident{e.reason.Name, e.reason.Span.shift(then)}
	}
	p.stand(wordRule, int(then)+e.word, int(then)+len(e.text), int(then)+e.last)
	p.tok.first = true
	return true
}

func (s Span) shift(by int32) Span { return Span{s.Start + by, s.End + by} }
