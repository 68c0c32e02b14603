// Package differential judges generated expressions by our language, by
// cel-go and by expr, and compares. generate.go makes expressions, node.go
// writes them in each language, meaning.go says what they must mean in each,
// fact.go makes facts, judge.go asks the engines.
//
// Where the languages differ by design, Semantics says how; a verdict that it
// does not predict is a fault.
package differential

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kind is a type of the languages. Peers have numbers for the last three:
// minor units, and microseconds.
type kind int

const (
	boolean kind = iota
	integer
	decimal
	text
	amount
	duration
	instant
)

// node is an expression. op is an operator, a function, "const", "field", or
// "any" and "all", whose args are the list and the body.
type node struct {
	op    string
	kind  kind
	args  []*node
	name  string // of a field, or of the element
	value value  // of a constant
	set   []*node
}

// value is a constant, or what an expression means. Unknown is an error too.
type value struct {
	unknown bool
	n       int64 // bool, integer, amount, duration, instant
	f       float64
	s       string
	list    []element
}

// language is one of the three.
type language int

const (
	ours language = iota
	celLanguage
	exprLanguage
	languages
)

func (l language) String() string { return [...]string{"ours", "cel-go", "expr"}[l] }

// infix maps operators to those of each language.
var infix = map[string][languages]string{
	"and": {"and", "&&", "&&"}, "or": {"or", "||", "||"},
	"==": {"==", "==", "=="}, "!=": {"!=", "!=", "!="}, "<": {"<", "<", "<"}, "<=": {"<=", "<=", "<="}, ">": {">", ">", ">"}, ">=": {">=", ">=", ">="},
	"+": {"+", "+", "+"}, "-": {"-", "-", "-"}, "*": {"*", "*", "*"}, "%": {"%", "%", "%"},
	"contains": {"contains", "", "contains"}, "starts_with": {"starts_with", "", "startsWith"}, "ends_with": {"ends_with", "", "endsWith"},
	"in": {"in", "in", "in"},
}

// write renders an expression.
func (n *node) write(l language) string {
	switch n.op {
	case "const":
		return n.constant(l)
	case "field":
		return n.name
	case "not":
		return [...]string{"not ", "!", "!"}[l] + "(" + n.args[0].write(l) + ")"
	case "neg":
		return "-(" + n.args[0].write(l) + ")"
	case "float":
		return fmt.Sprintf([...]string{"(%s)", "double(%s)", "float(%s)"}[l], n.args[0].write(l))
	case "/":
		return n.quotient(l)
	case "any", "all":
		return n.quantifier(l)
	case "in set":
		return "(" + n.args[0].write(l) + " in [" + strings.NewReplacer("(", "", ")", "").Replace(join(n.set, l)) + "])"
	case "in range":
		return n.between(l)
	case "matches":
		return n.matches(l)
	case "hour", "weekday", "day", "month":
		if l == ours {
			return fmt.Sprintf("%s(%s, %q)", n.op, n.args[0].write(l), n.name)
		}
		return fmt.Sprintf("%s(%s)", n.op+"_"+zoneNames[n.name], n.args[0].write(l))
	case "length", "lower", "abs", "min", "max":
		return n.call(l)
	case "contains", "starts_with", "ends_with":
		if l == celLanguage {
			method := map[string]string{"contains": "contains", "starts_with": "startsWith", "ends_with": "endsWith"}[n.op]
			return "(" + n.args[0].write(l) + ")." + method + "(" + n.args[1].write(l) + ")"
		}
	}
	return "(" + n.args[0].write(l) + " " + infix[n.op][l] + " " + n.args[1].write(l) + ")"
}

func join(nodes []*node, l language) string {
	texts := make([]string, len(nodes))
	for i, n := range nodes {
		texts[i] = n.write(l)
	}
	return strings.Join(texts, ", ")
}

// quotient is division: of amounts of time and money it is a decimal.
func (n *node) quotient(l language) string {
	a, b := n.args[0].write(l), n.args[1].write(l)
	switch {
	case l == ours || n.args[0].kind == decimal:
		return "(" + a + " / " + b + ")"
	case n.kind == decimal && l == celLanguage:
		return "(double(" + a + ") / double(" + b + "))"
	case n.kind == decimal:
		return "(float(" + a + ") / float(" + b + "))"
	case l == exprLanguage:
		return "quotient(" + a + ", " + b + ")" // its own / makes a decimal
	}
	return "(" + a + " / " + b + ")"
}

func (n *node) quantifier(l language) string {
	list, body := n.args[0].write(l), n.args[1].write(l)
	switch l {
	case celLanguage:
		return fmt.Sprintf("%s.%s(%s, %s)", list, map[string]string{"any": "exists", "all": "all"}[n.op], n.name, body)
	case exprLanguage:
		return fmt.Sprintf("%s(%s, let %s = #; %s)", n.op, list, n.name, body)
	default:
		return fmt.Sprintf("%s %s in %s (%s)", n.op, n.name, list, body)
	}
}

func (n *node) between(l language) string {
	x, low, high := n.args[0].write(l), n.args[1].write(l), n.args[2].write(l)
	if l == ours {
		return "(" + x + " in " + low + ".." + high + ")"
	}
	return "(" + x + " >= " + low + " && " + x + " <= " + high + ")"
}

func (n *node) matches(l language) string {
	x := n.args[0].write(l)
	switch l {
	case celLanguage:
		return "(" + x + ").matches(" + strconv.Quote(n.name) + ")"
	case exprLanguage:
		return "(" + x + " matches " + strconv.Quote(n.name) + ")"
	default:
		return "(" + x + " matches /" + n.name + "/)"
	}
}

func (n *node) call(l language) string {
	name := n.op
	switch {
	case l == celLanguage:
		name = map[string]string{"length": "size", "lower": "lower", "abs": "math.abs", "min": "math.least", "max": "math.greatest"}[n.op]
	case l == exprLanguage && n.op == "length":
		name = "len"
	}
	return name + "(" + join(n.args, l) + ")"
}

func (n *node) constant(l language) string {
	switch n.kind {
	case boolean:
		return strconv.FormatBool(n.value.n != 0)
	case decimal:
		s := strconv.FormatFloat(n.value.f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return bracket(s)
	case text:
		return quote(n.value.s)
	default:
	}
	if l == ours {
		switch n.kind {
		case amount:
			return bracket(yuan(n.value.n))
		case duration:
			return bracket(micros(n.value.n))
		case instant:
			return time.UnixMicro(n.value.n).UTC().Format(time.RFC3339Nano)
		default:
		}
	}
	return bracket(strconv.FormatInt(n.value.n, 10))
}

// bracket keeps a sign apart from an operator before it.
func bracket(s string) string {
	if strings.HasPrefix(s, "-") {
		return "(" + s + ")"
	}
	return s
}

func yuan(minor int64) string {
	sign := ""
	if minor < 0 {
		sign, minor = "-", -minor
	}
	return fmt.Sprintf("%s%d.%02d CNY", sign, minor/100, minor%100)
}

func micros(n int64) string {
	if n < 0 {
		return "-" + strconv.FormatInt(-n, 10) + "us"
	}
	return strconv.FormatInt(n, 10) + "us"
}

// quote writes a string as all three languages read it.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s) + `"`
}
