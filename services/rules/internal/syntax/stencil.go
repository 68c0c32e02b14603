package syntax

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Stencil is the text of a condition without some of its literals: the holes.
// A text that differs from the condition only in what fills them, by literals
// of the same kinds, has the same tree but for those.
type Stencil struct {
	Number int     // in the order in which they were added, from 0
	pieces []piece // what stands before each hole, and behind the last one
	holes  []HoleKind

	patterns bool // some of the holes are for patterns
}

// HoleKind is what fills a hole: a literal of its kind, or an array of strings.
type HoleKind uint8

// The kinds of holes.
const (
	IntHole HoleKind = iota
	FloatHole
	MoneyHole
	DurationHole
	StringHole
	RegexHole
	AddressHole
	StringsHole
)

// literalOf is the kind of literal that fills a hole.
var literalOf = [...]LiteralKind{IntLit, FloatLit, MoneyLit, DurationLit, StringLit, RegexLit, AddressLit, StringLit}

// Hole is where a source has what may differ.
type Hole struct {
	Span
	Kind HoleKind
}

// Fill is what fills a hole, as in a Literal. Who compiles a pattern may note a
// number in Int.
type Fill struct {
	Int   int64
	Float float64
	Str   string
	Strs  []string // of StringsHole, as they are written
}

// Term is a condition that was read by a stencil. Its Fills are for its holes.
type Term struct {
	*Stencil
	Fills []Fill
}

// Bounds of what is kept of a source.
const (
	maxStencils    = 512
	maxAlike       = 16   // stencils that begin with the same bytes
	maxStencilText = 1024 // bytes
	stencilBytes   = 4    // at least, before the first hole
	stencilSlots   = 256
)

// Stencils are those of the conditions that a source had so far: most rules
// of a large set are made of few forms of conditions.
type Stencils struct {
	count   int
	buckets [stencilSlots][]*Stencil // by the first bytes
	strings []string                 // to be used for arrays
}

// bucket finds the stencils that a text may be of, which begins with a word.
func (s *Stencils) bucket(word uint64) *[]*Stencil {
	return &s.buckets[uint32(word)*0x9E3779B1>>24]
}

// Add adds the stencil of a condition that stands in a source and was found
// good. It returns nil where that is not worth it, or is there already.
func (s *Stencils) Add(src string, condition Span, holes []Hole) *Stencil {
	text := src[condition.Start:condition.End]
	if s.count == maxStencils || len(text) > maxStencilText || len(text) < stencilBytes {
		return nil
	}
	slices.SortFunc(holes, func(a, b Hole) int { return int(a.Start - b.Start) })
	made, from := &Stencil{Number: s.count}, condition.Start
	for _, hole := range holes {
		if before := src[hole.Start-1]; classes[before]&identClass != 0 || before >= 0x80 || hole.Start <= from {
			return nil // where a word before it ends is not certain
		}
		made.pieces, made.holes = append(made.pieces, newPiece(src[from:hole.Start])), append(made.holes, hole.Kind)
		from = hole.End
	}
	made.pieces = append(made.pieces, newPiece(src[from:condition.End]))
	made.patterns = slices.Contains(made.holes, RegexHole)
	bucket := s.bucket(made.pieces[0].word)
	if len(made.pieces[0].text) < stencilBytes || len(*bucket) == maxAlike || slices.ContainsFunc(*bucket, made.same) {
		return nil
	}
	*bucket = append(*bucket, made)
	s.count++
	return made
}

func (s *Stencil) same(other *Stencil) bool {
	return slices.Equal(s.pieces, other.pieces) && slices.Equal(s.holes, other.holes)
}

// terms reads the conjunction that stands at a place up to its `then`, which
// is the next token, where all conditions are of stencils. Otherwise it leaves
// the parser as it was.
func (p *parser) terms(rule *Rule, at int) bool {
	if p.stencils == nil {
		return false
	}
	l := &p.lexer
	begin, first := l.pos, at
	for at-first < MaxNodes { // a longer one may have too many parts
		end := p.term(rule, at)
		if end == 0 {
			break
		}
		at = l.spaces(end)
		if at == end || at == len(l.src) {
			break
		}
		if strings.HasPrefix(l.src[at:], "and ") { // nearly always
			at = l.spaces(at + len("and "))
			continue
		}
		behind := l.identEnd(at)
		if behind == at {
			break
		}
		word := wordOf(l.src[at:behind])
		if word == wordAnd {
			at = l.spaces(behind)
			continue
		}
		if word != wordThen {
			break
		}
		rule.whenAt = int32(first)
		p.stand(word, at, behind, end)
		return true
	}
	rule.Terms, l.pos = nil, begin
	return false
}

// stand makes a keyword the token that is looked at; last is the end of the one
// before it.
func (p *parser) stand(word Word, start, end, last int) {
	l := &p.lexer
	tok := &p.tok
	tok.kind, tok.word, tok.text, tok.span = tokIdent, word, l.src[start:end], Span{int32(start), int32(end)}
	tok.first, tok.lit, tok.punct, tok.num, tok.float = false, 0, 0, 0, 0
	p.last = int32(last)
	l.pos, l.occupied, l.regex = end, true, false
}

// spaces returns where the spaces and line ends from a place on end.
func (l *lexer) spaces(at int) int {
	for at < len(l.src) && (l.src[at] == ' ' || l.src[at] == '\n' || l.src[at] == '\t' || l.src[at] == '\r') {
		at++
	}
	return at
}

// term adds the condition that stands at a place of the source to a rule, and
// returns its end; 0 where no stencil is its.
func (p *parser) term(rule *Rule, at int) int {
	src := p.lexer.src
	if at+wordBytes > len(src) {
		return 0 // there is no room for a condition and what follows it
	}
	word := wordAt(src, at)
	for _, s := range *p.stencils.bucket(word) {
		if begin := &s.pieces[0]; (word^begin.word)&begin.mask != 0 || !begin.standsAt(src, at) {
			continue
		}
		fills := p.made.fills.Slice(len(s.holes))[:len(s.holes)]
		if end := p.fill(s, at, fills); end > 0 {
			if rule.Terms == nil {
				rule.Terms = p.made.terms.Slice(4)
			}
			rule.Terms = append(rule.Terms, Term{s, fills})
			if s.patterns {
				p.notePatterns(s, fills)
			}
			return end
		}
	}
	return 0
}

// notePatterns notes what fills the holes of patterns.
func (p *parser) notePatterns(s *Stencil, fills []Fill) {
	for i, kind := range s.holes {
		if kind == RegexHole {
			p.patterns = append(p.patterns, &fills[i])
		}
	}
}

// fill reads what fills the holes of a stencil at a place of the source, and
// returns the end of the condition; 0 where it is not of this stencil.
func (p *parser) fill(s *Stencil, at int, fills []Fill) int {
	l := &p.lexer
	at += len(s.pieces[0].text)
	for i, kind := range s.holes {
		l.pos = at
		switch {
		case kind == StringsHole:
			if fills[i].Strs = p.stencils.array(l); fills[i].Strs == nil {
				return 0
			}
		case !l.fill(literalOf[kind], &fills[i]):
			return 0
		}
		at = l.pos
		piece := &s.pieces[i+1]
		if !piece.standsAt(l.src, at) {
			return 0
		}
		at += len(piece.text)
	}
	return at
}

// fill reads a literal of one kind.
func (l *lexer) fill(kind LiteralKind, fill *Fill) bool {
	if l.pos >= len(l.src) {
		return false
	}
	switch c := l.src[l.pos]; {
	case kind == StringLit && c == '"':
		if fill.Str = l.plainText(); fill.Str != "" {
			return true
		}
		return l.fillBy(l.str(), kind, fill)
	case kind == RegexLit && c == '/':
		return l.fillBy(l.pattern(), kind, fill)
	case kind == AddressLit && isDigit(c):
		return l.fillBy(l.rare(), kind, fill)
	case kind != StringLit && kind != RegexLit && isDigit(c):
		lit, end := l.common(fill)
		if end == 0 {
			return l.fillBy(l.rare(), kind, fill)
		}
		l.pos = end
		return lit == kind
	}
	return false
}

// fillBy takes a literal of one kind from the token that was read.
func (l *lexer) fillBy(tok token, kind LiteralKind, fill *Fill) bool {
	if l.fault.Message != "" {
		l.fault = Fault{}
		return false
	}
	fill.Int, fill.Float, fill.Str = tok.num, tok.float, tok.text
	return tok.kind == tokLiteral && tok.lit == kind
}

// plainText reads a string of ASCII without escapes. Otherwise it is empty.
func (l *lexer) plainText() string {
	start := l.pos + 1
	for i := start; i < len(l.src); i++ {
		switch c := l.src[i]; {
		case c == '"':
			l.pos = i + 1
			return l.src[start:i]
		case c == '\\' || c == '\n' || c >= utf8.RuneSelf:
			return ""
		}
	}
	return ""
}

// array reads `["a", "b"]`, nil where that is not what stands there.
func (s *Stencils) array(l *lexer) []string {
	if l.pos >= len(l.src) || l.src[l.pos] != '[' {
		return nil
	}
	var one Fill
	n := 0
	for {
		l.pos = l.spaces(l.pos + 1)
		if !l.fill(StringLit, &one) {
			return nil
		}
		if n == len(s.strings) { // full, or the first
			s.strings = append(make([]string, 0, 2*n+512), s.strings...)[:2*n+512]
		}
		s.strings[n] = one.Str
		n++
		if l.pos = l.spaces(l.pos); l.pos >= len(l.src) {
			return nil
		}
		switch l.src[l.pos] {
		case ',':
		case ']':
			l.pos++
			made := s.strings[:n:n]
			s.strings = s.strings[n:]
			return made
		default:
			return nil
		}
	}
}

// Terms are the conditions of a conjunction, or the one that it is. What `or`
// joins is none: it means something else beside `and`.
func Terms(when Expr) []Expr {
	chain, ok := when.(*Logic)
	switch {
	case !ok:
		return []Expr{when}
	case chain.Op == OpAnd:
		return chain.Terms
	}
	return nil
}

// Expand gives a rule that was read by stencils its tree.
func (r *Reader) Expand(rule *Rule) {
	if rule.Terms == nil {
		return
	}
	p := parser{lexer: lexer{src: r.parser.lexer.src, pos: int(rule.whenAt)}, made: r.parser.made}
	p.next()
	rule.When, rule.Terms = p.expr(0), nil
}

// Stencils makes the reader use stencils, to which its user adds.
func (r *Reader) Stencils() *Stencils {
	if r.parser.stencils == nil {
		r.parser.stencils = &Stencils{}
	}
	return r.parser.stencils
}

// Shallow reports whether the last rule was far from the limit of depth: its
// conditions may stand elsewhere too.
func (r *Reader) Shallow() bool { return r.parser.deepest <= MaxDepth/2 }
