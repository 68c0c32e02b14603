package program

import (
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// assumedElements is how many elements a list is taken to have by Cost.
const assumedElements = 16

// Cost bounds what evaluating a condition takes, in units of about a
// nanosecond: each part is counted as if nothing before it decided.
func Cost(n *check.Node) int64 {
	switch n.Op {
	case check.Any, check.All:
		return 5 + assumedElements*Cost(n.Args[1])
	case check.InElements:
		return 5 + assumedElements*2
	default:
	}
	cost := operationCost(n)
	for _, arg := range n.Args {
		cost += Cost(arg)
	}
	return cost
}

func operationCost(n *check.Node) int64 {
	switch n.Op {
	case check.And, check.Or, check.Not, check.Const:
		return 0
	case check.Field, check.IsMissing, check.ToFloat, check.Default:
		return 1
	case check.Eq, check.Ne, check.Lt, check.Le, check.Gt, check.Ge:
		if n.Args[0].Type.Kind == fact.String {
			return 4
		}
		return 1
	case check.StartsWith, check.EndsWith, check.InInts:
		return 4
	case check.InStrings, check.Contains:
		return 12
	case check.InList:
		return 40
	case check.Lower, check.Length, check.Convert, check.Hour, check.Weekday, check.Day, check.Month:
		return 20
	case check.Matches:
		return 200
	default:
		return 2
	}
}
