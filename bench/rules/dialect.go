package rules

import (
	"fmt"
	"strings"
)

// Dialect is a language that rules are written in.
type Dialect int

// The dialects, ours first.
const (
	Ours Dialect = iota
	Expr
	CEL
	JS
	Gval
	Govaluate
	dialects
)

// Cond is one condition in every dialect.
type Cond struct {
	text  [dialects]string
	hoist string            // JavaScript that makes its constants, run once
	holds func(*Event) bool // in Go: for calibration and as a witness
}

// Rule is a rule in every dialect.
type Rule struct {
	Name  string
	Shape int // of its first condition: index in Shapes
	Cond
}

// forms maps what we write once, in a notation close to all dialects, to each
// of them: fields are written bare.
var forms = [dialects]*strings.Replacer{
	Ours:      strings.NewReplacer("&&", "and", "||", "or", "!!", "not "),
	Expr:      strings.NewReplacer("!!", "!"),
	CEL:       strings.NewReplacer("!!", "!"),
	JS:        strings.NewReplacer("!!", "!", " == ", " === ", " != ", " !== "),
	Gval:      strings.NewReplacer("!!", "!"),
	Govaluate: strings.NewReplacer("!!", "!", "billing.", "billing_", "shipping.", "shipping_"),
}

// plain is a condition whose text differs only in operators.
func plain(text string, holds func(*Event) bool) Cond {
	c := Cond{holds: holds}
	for d := range dialects {
		c.text[d] = forms[d].Replace(text)
	}
	return c
}

// own replaces the text of our dialect.
func (c Cond) own(format string, args ...any) Cond {
	c.text[Ours] = fmt.Sprintf(format, args...)
	return c
}

// all is true when every condition is.
func all(conds ...Cond) Cond {
	joined := Cond{holds: func(e *Event) bool {
		for _, c := range conds {
			if !c.holds(e) {
				return false
			}
		}
		return true
	}}
	for d := range dialects {
		texts := make([]string, len(conds))
		for i, c := range conds {
			texts[i] = "(" + c.text[d] + ")"
			if d == Ours {
				texts[i] = bare(c.text[d])
			}
		}
		joined.text[d] = strings.Join(texts, forms[d].Replace(" && "))
	}
	for _, c := range conds {
		joined.hoist += c.hoist
	}
	return joined
}

// bare leaves out brackets that a person would not write.
func bare(text string) string {
	if strings.Contains(text, " or ") {
		return "(" + text + ")"
	}
	return text
}

func quoted(texts []string) string {
	marked := make([]string, len(texts))
	for i, text := range texts {
		marked[i] = `"` + text + `"`
	}
	return strings.Join(marked, ", ")
}
