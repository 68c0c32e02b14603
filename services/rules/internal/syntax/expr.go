package syntax

import "fmt"

// Binding powers, loosest first.
const (
	powerOr = iota + 1
	powerAnd
	powerNot
	powerTest // comparisons, in, is
	powerSum
	powerProduct
	powerSign
	powerDefault
)

// infix returns the operator that the current token is, with its power.
func (p *parser) infix() (Op, int) {
	if p.tok.kind == tokPunct {
		switch p.tok.punct {
		case punctEq:
			return OpEq, powerTest
		case punctNe:
			return OpNe, powerTest
		case '<':
			return OpLt, powerTest
		case punctLe:
			return OpLe, powerTest
		case '>':
			return OpGt, powerTest
		case punctGe:
			return OpGe, powerTest
		case '+':
			return OpAdd, powerSum
		case '-':
			return OpSub, powerSum
		case '*':
			return OpMul, powerProduct
		case '/':
			return OpDiv, powerProduct
		case '%':
			return OpMod, powerProduct
		default:
			return 0, 0
		}
	}
	if p.tok.kind != tokIdent {
		return 0, 0
	}
	switch p.tok.word {
	case wordOr:
		return OpOr, powerOr
	case wordAnd:
		return OpAnd, powerAnd
	case wordContains:
		return OpContains, powerTest
	case wordStartsWith:
		return OpStartsWith, powerTest
	case wordEndsWith:
		return OpEndsWith, powerTest
	case wordMatches:
		return OpMatches, powerTest
	case wordDefault:
		return OpDefault, powerDefault
	case wordIn, wordIs, wordNot:
		return 0, powerTest
	default:
		return 0, 0
	}
}

// expr reads an expression whose operators bind tighter than power.
func (p *parser) expr(power int) Expr {
	p.depth++
	defer func() { p.depth-- }()
	p.deepest = max(p.deepest, p.depth)
	if p.depth > MaxDepth {
		p.fail(p.tok.span, fmt.Sprintf("expressions nested deeper than %d", MaxDepth), "")
	}
	left := p.prefix()
	for !p.stuck {
		op, binds := p.infix()
		if binds <= power {
			break
		}
		p.count()
		left = p.operate(left, op, binds)
	}
	return left
}

// count bounds the work that one rule can ask for.
func (p *parser) count() {
	p.nodes++
	if p.nodes == MaxNodes {
		p.fail(p.tok.span, fmt.Sprintf("an expression of more than %d parts", MaxNodes), "use a named list or split the rule")
	}
}

// operate reads the rest of an infix operation on left.
func (p *parser) operate(left Expr, op Op, binds int) Expr {
	start, opSpan := left.ExprSpan().Start, p.tok.span
	switch {
	case p.is(wordIs):
		p.next()
		not := p.accept(wordNot)
		if !p.accept(wordMissing) {
			p.unexpected("'missing'", "as in ip is missing; to compare write ==")
		}
		left = &Missing{Span{start, p.last}, left, not}
	case p.is(wordNot), p.is(wordIn):
		not := p.accept(wordNot)
		if !p.accept(wordIn) {
			p.unexpected("'in'", "to negate a condition write 'not' before it")
		}
		set := p.set()
		in := p.made.ins.Get()
		*in = In{Span{start, p.last}, left, not, set}
		left = in
	case op == OpOr || op == OpAnd:
		p.next()
		right := p.expr(binds)
		if chain, ok := left.(*Logic); ok && chain.Op == op {
			chain.Terms = append(chain.Terms, right)
			chain.End = p.last
			return chain
		}
		chain := p.made.logics.Get()
		*chain = Logic{Span{start, p.last}, op, append(p.made.exprs.Slice(4), left, right)}
		return chain
	default:
		p.next()
		right := p.expr(binds)
		binary := p.made.binaries.Get()
		*binary = Binary{Span{start, p.last}, op, opSpan, left, right}
		left = binary
	}
	if binds == powerTest && !p.stuck {
		if _, again := p.infix(); again == powerTest {
			p.fail(p.tok.span, "comparisons cannot be chained", "join them with 'and', as in a > 1 and a < 5")
		}
	}
	return left
}

func (p *parser) prefix() Expr {
	p.count()
	start := p.tok.span.Start
	switch p.tok.kind {
	case tokLiteral:
		return p.literal()
	case tokPunct:
		switch p.tok.punct {
		case '(':
			p.next()
			x := p.expr(0)
			p.expectPunct(')')
			paren := p.made.parens.Get()
			*paren = Paren{Span{start, p.last}, x}
			return paren
		case '-':
			p.next()
			x := p.expr(powerSign)
			return &Neg{Span{start, p.last}, x}
		default:
		}
	case tokIdent:
		switch p.tok.word {
		case wordNot:
			p.next()
			x := p.expr(powerNot)
			return &Not{Span{start, p.last}, x}
		case wordTrue, wordFalse:
			return p.literal()
		case wordAny, wordAll:
			return p.quantifier()
		default:
		}
		if p.tok.word.reserved() {
			break
		}
		return p.operand()
	default:
	}
	p.unexpected("a value", p.valueHelp())
	return &Literal{Span: p.tok.span}
}

func (p *parser) valueHelp() string {
	if p.tok.kind == tokIdent && p.tok.word.reserved() {
		return "'" + p.tok.text + "' is a keyword; a field of that name is written `" + p.tok.text + "`"
	}
	return ""
}

// exprHelp explains what often follows an expression by mistake.
func (p *parser) exprHelp() string {
	switch {
	case p.isPunct('='):
		return "to compare write =="
	case p.tok.kind == tokIdent:
		return Suggest(p.tok.text, []string{"and", "or", "then", "in", "is", "contains", "starts_with", "ends_with", "matches", "default"})
	}
	return ""
}

// literal reads the current token, a literal or true or false.
func (p *parser) literal() *Literal {
	tok := &p.tok
	lit := p.made.literals.Get()
	*lit = Literal{Span: tok.span, Kind: tok.lit, Int: tok.num, Float: tok.float, Str: tok.text}
	if tok.kind == tokIdent {
		lit.Kind, lit.Str = BoolLit, ""
		if tok.word == wordTrue {
			lit.Int = 1
		}
	}
	lit.Raw = p.lexer.src[tok.span.Start:tok.span.End]
	p.next()
	return lit
}

// path reads `amount` or `billing.country`.
func (p *parser) path() *Path {
	start := p.tok.span.Start
	if p.tok.kind == tokIdent && p.tok.word.reserved() {
		p.unexpected("a field", p.valueHelp())
	}
	path := p.made.paths.Get()
	path.Parts = append(p.made.idents.Slice(2), p.name("a field"))
	for p.acceptPunct('.') {
		path.Parts = append(path.Parts, p.name("a field"))
		p.count()
	}
	path.Span = Span{start, p.last}
	return path
}

// operand reads a field, a function call or a velocity window.
func (p *parser) operand() Expr {
	path := p.path()
	if !p.isPunct('(') || len(path.Parts) > 1 {
		return path
	}
	p.next()
	call := p.made.calls.Get()
	call.Func, call.Args = path.Parts[0], p.made.exprs.Slice(2)
	for !p.stuck && !p.isPunct(')') {
		arg := p.expr(0)
		if of, ok := arg.(*Path); ok && p.is(wordBy) && len(call.Args) == 0 {
			return p.window(call.Func, of)
		}
		call.Args = append(call.Args, arg)
		if !p.acceptPunct(',') {
			break
		}
	}
	p.expectPunct(')')
	call.Span = Span{path.Start, p.last}
	return call
}

// window reads the rest of `count(payment by card over 1h)` from `by`.
func (p *parser) window(fn Ident, of *Path) Expr {
	p.next()
	w := &Window{Func: fn, Of: of, By: p.path()}
	p.expect(wordOver)
	if p.tok.kind != tokLiteral || p.tok.lit != DurationLit {
		p.unexpected("a duration", "as in count(payment by card over 1h)")
		return w
	}
	w.Over = p.literal()
	p.expectPunct(')')
	w.Span = Span{fn.Span.Start, p.last}
	return w
}

func (p *parser) quantifier() Expr {
	start := p.tok.span.Start
	q := p.made.quants.Get()
	q.All = p.tok.word == wordAll
	p.next()
	q.Var = p.name("a name for the element")
	p.expect(wordIn)
	q.List = p.path()
	if !p.isPunct('(') {
		p.unexpected("'('", "as in any item in items (item.price > 10.00 CNY)")
	}
	p.next()
	q.Body = p.expr(0)
	p.expectPunct(')')
	q.Span = Span{start, p.last}
	return q
}

// set reads what follows `in`.
func (p *parser) set() Expr {
	start := p.tok.span.Start
	switch {
	case p.isPunct('['):
		return p.array()
	case p.accept(wordList):
		name := Ident{p.tok.text, p.tok.span}
		if p.tok.kind != tokListName {
			p.unexpected("'@' and the name of a list", "as in ip in list @datacenters")
		}
		p.next()
		return &NamedList{Span{start, p.last}, name}
	case p.accept(wordCIDR):
		return p.cidr(start)
	case p.tok.kind == tokListName:
		p.unexpected("'list'", "write list "+p.lexer.src[p.tok.span.Start:p.tok.span.End])
	}
	low := p.expr(powerTest)
	if !p.acceptPunct(punctRange) {
		if path, ok := low.(*Path); ok {
			return path
		}
		p.unexpected("'..'", "as in 1..4, [1, 2], list @name or cidr 10.0.0.0/8")
		return low
	}
	high := p.expr(powerTest)
	r := p.made.ranges.Get()
	*r = Range{Span{start, p.last}, low, high}
	return r
}

func (p *parser) cidr(start int32) Expr {
	set := &CIDR{Many: p.acceptPunct('[')}
	for !p.stuck {
		if p.tok.kind != tokLiteral || (p.tok.lit != AddressLit && p.tok.lit != StringLit) {
			p.unexpected("an IP prefix", "as in cidr 10.0.0.0/8 or cidr [10.0.0.0/8, 2001:db8::/32]")
		}
		if len(set.Elems) == MaxElements {
			p.fail(p.tok.span, fmt.Sprintf("more than %d elements", MaxElements), "use a named list")
		}
		set.Elems = append(set.Elems, p.literal())
		if !set.Many || !p.acceptPunct(',') || p.isPunct(']') {
			break
		}
	}
	if set.Many {
		p.expectPunct(']')
	}
	set.Span = Span{start, p.last}
	return set
}

// array reads `[a, b]`: values of an `in` test or of a test's fact.
func (p *parser) array() *Array {
	start := p.tok.span.Start
	p.expectPunct('[')
	list := p.made.arrays.Get()
	list.Elems = p.made.exprs.Slice(8)
	for !p.stuck && !p.isPunct(']') {
		if len(list.Elems) == MaxElements {
			p.fail(p.tok.span, fmt.Sprintf("more than %d elements", MaxElements), "use a named list")
		}
		list.Elems = append(list.Elems, p.value())
		if !p.acceptPunct(',') {
			break
		}
	}
	p.expectPunct(']')
	list.Span = Span{start, p.last}
	return list
}

// value reads a constant: a literal, `-` a literal, an object or an array.
func (p *parser) value() Expr {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > MaxDepth {
		p.fail(p.tok.span, fmt.Sprintf("values nested deeper than %d", MaxDepth), "")
	}
	start := p.tok.span.Start
	switch {
	case p.isPunct('{'):
		return p.object()
	case p.isPunct('['):
		return p.array()
	case p.acceptPunct('-'):
		if p.tok.kind != tokLiteral || p.tok.lit > DurationLit {
			p.unexpected("a number", "")
			return &Literal{}
		}
		lit := p.literal()
		lit.Start, lit.Int, lit.Float, lit.Raw = start, -lit.Int, -lit.Float, "-"+lit.Raw
		return lit
	case p.tok.kind == tokLiteral, p.is(wordTrue), p.is(wordFalse):
		return p.literal()
	}
	p.unexpected("a constant", "strings are written in double quotes")
	return &Literal{}
}

// object reads `{ key: value, ... }` of a test's fact.
func (p *parser) object() *Object {
	p.depth++
	defer func() { p.depth-- }()
	start := p.tok.span.Start
	p.expectPunct('{')
	object := &Object{}
	for !p.stuck && !p.isPunct('}') {
		if len(object.Fields) == MaxElements {
			p.fail(p.tok.span, fmt.Sprintf("more than %d fields", MaxElements), "")
		}
		key := p.operand()
		if _, call := key.(*Call); call {
			p.fail(key.ExprSpan(), "expected a field or a velocity window", "as in count(payment by card over 1h): 6")
		}
		p.expectPunct(':')
		object.Fields = append(object.Fields, Field{key, p.value()})
		if !p.acceptPunct(',') {
			break
		}
	}
	p.expectPunct('}')
	object.Span = Span{start, p.last}
	return object
}

// quoteName returns a name as the source must spell it.
func quoteName(name string) string {
	if word := words[name]; word.reserved() || word == wordList || word == wordCIDR {
		return "`" + name + "`"
	}
	return name
}
