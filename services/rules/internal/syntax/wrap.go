package syntax

import "strings"

// layout prints an expression after a prefix and before a suffix: on one line
// if it fits there and no comment stands within, else broken where it has
// parts. Comments before it have been printed.
func (p *printer) layout(indent int, prefix string, x Expr, suffix string) {
	text := prefix + p.expr(x) + suffix
	if 2*indent+width(text) <= lineWidth && !p.pending(x.ExprSpan().End) {
		p.line(indent, text)
		return
	}
	switch x := x.(type) {
	case *Logic:
		p.logic(indent, prefix, x, suffix)
	case *Paren:
		p.line(indent, prefix+"(")
		p.within(indent+1, x.X)
		p.close(indent, x.End, ")"+suffix)
	case *Not:
		p.layout(indent, prefix+p.word(wordNot)+" ", x.X, suffix)
	case *Quantifier:
		head := p.expr(x)
		body := p.expr(x.Body)
		p.line(indent, prefix+strings.TrimSuffix(head, body+")"))
		p.within(indent+1, x.Body)
		p.close(indent, x.End, ")"+suffix)
	case *In:
		p.in(indent, prefix, x, suffix)
	case *Array:
		p.array(indent, prefix, x, suffix)
	case *Object:
		p.object(indent, prefix, x, suffix)
	default:
		p.line(indent, text)
	}
}

// within prints what stands alone between brackets.
func (p *printer) within(indent int, x Expr) {
	p.flush(x.ExprSpan().Start, indent)
	p.layout(indent, "", x, "")
}

// close prints a closing bracket that ends at an offset.
func (p *printer) close(indent int, end int32, text string) {
	p.flush(end, indent+1)
	p.line(indent, text)
}

// logic prints a term a line; those after the first stand below it, or further
// in where it has a prefix.
func (p *printer) logic(indent int, prefix string, x *Logic, suffix string) {
	inner := indent
	if prefix != "" {
		inner++
	}
	for i, term := range x.Terms {
		before, after := x.Op.in(p.language)+" ", ""
		if i == len(x.Terms)-1 {
			after = suffix
		}
		if i == 0 {
			p.layout(indent, prefix, term, after)
			continue
		}
		p.flush(term.ExprSpan().Start, inner)
		p.layout(inner, before, term, after)
	}
}

// in breaks the constants of a long `in`.
func (p *printer) in(indent int, prefix string, x *In, suffix string) {
	head := prefix + p.expr(x.X) + p.negation(x.Not) + " " + p.word(wordIn) + " "
	switch set := x.Set.(type) {
	case *Array:
		p.array(indent, head, set, suffix)
	case *CIDR:
		if set.Many {
			elems := make([]Expr, len(set.Elems))
			for i, elem := range set.Elems {
				elems[i] = elem
			}
			p.array(indent, head+p.word(wordCIDR)+" ", &Array{set.Span, elems}, suffix)
			return
		}
		p.line(indent, head+p.expr(set)+suffix)
	default:
		p.line(indent, head+p.expr(set)+suffix)
	}
}

// array prints constants, as many on a line as fit, and other values one a line.
func (p *printer) array(indent int, prefix string, x *Array, suffix string) {
	if len(x.Elems) == 0 {
		p.line(indent, prefix+"[]"+suffix)
		return
	}
	p.line(indent, prefix+"[")
	row := ""
	end := func() {
		if row != "" {
			p.line(indent+1, row)
			row = ""
		}
	}
	for _, elem := range x.Elems {
		if p.pending(elem.ExprSpan().Start) {
			end()
			p.flush(elem.ExprSpan().Start, indent+1)
		}
		if _, constant := elem.(*Literal); !constant {
			end()
			p.layout(indent+1, "", elem, ",")
			continue
		}
		text := p.expr(elem) + ","
		switch {
		case row == "":
			row = text
		case 2*indent+2+width(row)+1+width(text) <= lineWidth:
			row += " " + text
		default:
			end()
			row = text
		}
	}
	end()
	p.close(indent, x.End, "]"+suffix)
}

// object prints a field a line.
func (p *printer) object(indent int, prefix string, x *Object, suffix string) {
	if len(x.Fields) == 0 {
		p.line(indent, prefix+"{}"+suffix)
		return
	}
	p.line(indent, prefix+"{")
	for _, field := range x.Fields {
		p.flush(field.Key.ExprSpan().Start, indent+1)
		p.layout(indent+1, p.expr(field.Key)+": ", field.Value, ",")
	}
	p.close(indent, x.End, "}"+suffix)
}
