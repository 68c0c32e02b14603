package check

import (
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

func (c *checker) matches(x *syntax.Binary) *Node {
	left := c.value(x.X)
	literal, ok := x.Y.(*syntax.Literal)
	if !ok || (literal.Kind != syntax.RegexLit && literal.Kind != syntax.StringLit) {
		c.fault(x.Y.ExprSpan(), "a pattern must be a constant", "as in email matches /@example\\.com$/")
		return unknowable
	}
	number, err := c.pattern(literal.Str)
	if err != nil {
		c.fault(literal.Span, err.Error(), "")
		return unknowable
	}
	if left == nil {
		return unknowable
	}
	if left.Type.Kind != fact.String {
		c.fault(x.X.ExprSpan(), "'matches' is for strings, found "+left.Type.describe(), "")
		return unknowable
	}
	node := c.node(Matches, boolean, x, left)
	node.Regex = c.compiled[number]
	node.Literal = node.Regex.Literal()
	return node
}

// pattern compiles a pattern, once for a set, and returns where it is in compiled.
func (c *checker) pattern(text string) (number int, err error) {
	number, added := c.patterns.add(text)
	if !added && c.compiled[number] != nil {
		return number, nil
	}
	compiled, err := c.compiler.Compile(text)
	if added {
		c.compiled = append(c.compiled, compiled)
	}
	return number, err
}
