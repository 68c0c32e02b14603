package syntax

import "strings"

// expr prints an expression on one line. The tree keeps parentheses, so none
// are added.
func (p *printer) expr(x Expr) string {
	switch x := x.(type) {
	case *Literal:
		if x.Kind == BoolLit {
			return p.word(wordFalse - Word(x.Int))
		}
		return x.Raw
	case *Path:
		return p.path(x)
	case *Paren:
		return "(" + p.expr(x.X) + ")"
	case *Neg:
		return "-" + p.expr(x.X)
	case *Not:
		return p.word(wordNot) + " " + p.expr(x.X)
	case *Logic:
		return p.join(x.Terms, " "+x.Op.in(p.language)+" ")
	case *Binary:
		return p.expr(x.X) + " " + x.Op.in(p.language) + " " + p.expr(x.Y)
	case *Call:
		return x.Func.Name + "(" + p.join(x.Args, ", ") + ")"
	case *Window:
		return x.Func.Name + "(" + p.path(x.Of) + " " + p.word(wordBy) + " " + p.path(x.By) + " " + p.word(wordOver) + " " + x.Over.Raw + ")"
	case *Quantifier:
		word := wordAny
		if x.All {
			word = wordAll
		}
		return p.word(word) + " " + x.Var.Name + " " + p.word(wordIn) + " " + p.path(x.List) + " (" + p.expr(x.Body) + ")"
	case *Missing:
		return p.expr(x.X) + " " + p.word(wordIs) + p.negation(x.Not) + " " + p.word(wordMissing)
	case *In:
		return p.expr(x.X) + p.negation(x.Not) + " " + p.word(wordIn) + " " + p.expr(x.Set)
	}
	return p.set(x)
}

func (p *printer) negation(not bool) string {
	if not {
		return " " + p.word(wordNot)
	}
	return ""
}

// set prints what is not an operand: sets of `in` and values of tests.
func (p *printer) set(x Expr) string {
	switch x := x.(type) {
	case *Range:
		return p.expr(x.Lo) + ".." + p.expr(x.Hi)
	case *NamedList:
		return p.word(wordList) + " @" + x.Name.Name
	case *CIDR:
		texts := make([]string, len(x.Elems))
		for i, elem := range x.Elems {
			texts[i] = elem.Raw
		}
		if x.Many {
			return p.word(wordCIDR) + " [" + strings.Join(texts, ", ") + "]"
		}
		return p.word(wordCIDR) + " " + texts[0]
	case *Array:
		return "[" + p.join(x.Elems, ", ") + "]"
	case *Object:
		if len(x.Fields) == 0 {
			return "{}"
		}
		texts := make([]string, len(x.Fields))
		for i, field := range x.Fields {
			texts[i] = p.expr(field.Key) + ": " + p.expr(field.Value)
		}
		return "{ " + strings.Join(texts, ", ") + " }"
	}
	return ""
}

func (p *printer) join(list []Expr, separator string) string {
	texts := make([]string, len(list))
	for i, x := range list {
		texts[i] = p.expr(x)
	}
	return strings.Join(texts, separator)
}

func (p *printer) path(x *Path) string {
	texts := make([]string, len(x.Parts))
	for i, part := range x.Parts {
		texts[i] = part.Name
	}
	texts[0] = quoteName(texts[0])
	return strings.Join(texts, ".")
}
