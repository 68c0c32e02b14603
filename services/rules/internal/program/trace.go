package program

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Probe tells the value of one sub-expression of a rule.
type Probe struct {
	Text  string // of the sub-expression
	Value func(*Frame) string
}

// Probes returns a probe for each sub-expression of a condition that is not a
// constant, outermost first. Those within any and all have no one value and
// are left out.
func Probes(n *check.Node) []Probe {
	var probes []Probe
	seen := map[string]bool{}
	var visit func(n *check.Node)
	visit = func(n *check.Node) {
		if n.Source != nil && n.Op != check.Const {
			if text := syntax.Text(n.Source); !seen[text] {
				seen[text] = true
				probes = append(probes, Probe{text, shown(n)})
			}
		}
		args := n.Args
		switch n.Op {
		case check.Any, check.All:
			args = nil
		case check.InElements:
			args = args[:1]
		default:
		}
		for _, arg := range args {
			visit(arg)
		}
	}
	visit(n)
	return probes
}

const missingText = "missing"

// shown compiles what a trace shows of a node.
func shown(n *check.Node) func(*Frame) string {
	switch n.Type.Kind {
	case fact.Bool:
		isTrue, isFalse := cond(n, false), cond(n, true)
		return func(f *Frame) string {
			switch {
			case isTrue(f):
				return "true"
			case isFalse(f):
				return "false"
			}
			return missingText
		}
	case fact.Money:
		value := amounts(n)
		return func(f *Frame) string {
			minor, currency, ok := value(f)
			return known(money.Amount{Minor: minor, Currency: currency}.String(), ok)
		}
	case fact.String:
		value := texts(n)
		return func(f *Frame) string { v, ok := value(f); return known(strconv.Quote(v), ok) }
	case fact.Float:
		value := floats(n)
		return func(f *Frame) string { v, ok := value(f); return known(strconv.FormatFloat(v, 'g', -1, 64), ok) }
	case fact.List:
		count := length(n)
		return func(f *Frame) string { v, ok := count(f); return known(fmt.Sprintf("%d elements", v), ok) }
	case fact.Message:
		return func(f *Frame) string { return known("present", f.slot(n.Depth, n.Slot).OK) }
	default:
	}
	value := ints(n)
	return func(f *Frame) string { v, ok := value(f); return known(shownInt(n.Type, v), ok) }
}

func shownInt(t check.Type, v int64) string {
	switch t.Kind {
	case fact.Duration:
		if v > math.MaxInt64/1000 || v < math.MinInt64/1000 {
			return strconv.FormatInt(v, 10) + "us"
		}
		return (time.Duration(v) * time.Microsecond).String()
	case fact.Time:
		return time.UnixMicro(v).UTC().Format(time.RFC3339Nano)
	case fact.Enum:
		if member := t.Enum.Values().ByNumber(protoreflect.EnumNumber(v)); member != nil {
			return string(member.Name())
		}
	default:
	}
	return strconv.FormatInt(v, 10)
}

func known(text string, ok bool) string {
	if !ok {
		return missingText
	}
	return text
}
