package check

import (
	"errors"
	"fmt"
	"regexp"
	regexpsyntax "regexp/syntax"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Limits of a pattern.
const (
	maxPattern      = 1000 // bytes
	maxInstructions = 2000
)

func (c *checker) matches(x *syntax.Binary) *Node {
	left := c.value(x.X)
	literal, ok := x.Y.(*syntax.Literal)
	if !ok || (literal.Kind != syntax.RegexLit && literal.Kind != syntax.StringLit) {
		c.fault(x.Y.ExprSpan(), "a pattern must be a constant", "as in email matches /@example\\.com$/")
		return unknowable
	}
	pattern := c.pattern(literal.Str)
	if pattern.fault != "" {
		c.fault(literal.Span, pattern.fault, "")
		return unknowable
	}
	if left == nil {
		return unknowable
	}
	if left.Type.Kind != fact.String {
		c.fault(x.X.ExprSpan(), "'matches' is for strings, found "+left.Type.describe(), "")
		return unknowable
	}
	return &Node{Op: Matches, Type: boolean, Args: []*Node{left}, Regex: pattern.regex, Literal: pattern.literal, Source: x}
}

// pattern is a compiled RE2 pattern. literal is contained in every match.
type pattern struct {
	regex   *regexp.Regexp
	literal string
	fault   string
}

// pattern compiles a pattern of bounded size, once for a set.
func (c *checker) pattern(text string) *pattern {
	known, ok := c.patterns[text]
	if !ok {
		known = compilePattern(text)
		c.patterns[text] = known
	}
	return known
}

func compilePattern(text string) *pattern {
	if len(text) > maxPattern {
		return &pattern{fault: fmt.Sprintf("a pattern has at most %d bytes", maxPattern)}
	}
	parsed, err := regexpsyntax.Parse(text, regexpsyntax.Perl)
	var bad *regexpsyntax.Error
	if errors.As(err, &bad) {
		return &pattern{fault: "bad pattern: " + bad.Code.String() + " '" + bad.Expr + "'"}
	}
	literal := requiredLiteral(parsed)
	if size(parsed) > maxInstructions/8 {
		program, err := regexpsyntax.Compile(parsed.Simplify())
		if err != nil {
			return &pattern{fault: "bad pattern: " + err.Error()}
		}
		if len(program.Inst) > maxInstructions {
			return &pattern{fault: "the pattern is too large: its repetitions multiply"}
		}
	}
	regex, err := regexp.Compile(text)
	if err != nil {
		return &pattern{fault: "bad pattern: " + err.Error()}
	}
	return &pattern{regex: regex, literal: literal}
}

// size is about how many instructions a pattern takes.
func size(re *regexpsyntax.Regexp) int {
	total := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		total += size(sub)
	}
	if re.Op == regexpsyntax.OpRepeat {
		total *= max(re.Min, re.Max, 1)
	}
	return total
}

// requiredLiteral is the longest text that every match of a pattern contains.
func requiredLiteral(re *regexpsyntax.Regexp) string {
	switch re.Op {
	case regexpsyntax.OpLiteral:
		if re.Flags&regexpsyntax.FoldCase == 0 {
			return string(re.Rune)
		}
	case regexpsyntax.OpCapture, regexpsyntax.OpPlus:
		return requiredLiteral(re.Sub[0])
	case regexpsyntax.OpRepeat:
		if re.Min > 0 {
			return requiredLiteral(re.Sub[0])
		}
	case regexpsyntax.OpConcat:
		longest := ""
		for _, sub := range re.Sub {
			if literal := requiredLiteral(sub); len(literal) > len(longest) {
				longest = literal
			}
		}
		return longest
	default:
	}
	return ""
}
