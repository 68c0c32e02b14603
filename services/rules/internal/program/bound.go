package program

import "github.com/backlot-video/backlot/services/rules/internal/check"

// lowerBounds finds the slots of velocity for which a lower bound is enough:
// rules only ask whether the value is above something, so that a value that is
// too low can at worst leave a rule silent. An average has no lower bound. A
// sum is taken to have one, as amounts of orders are not negative.
func lowerBounds(set *check.Set) map[int]bool {
	bounds := map[int]bool{}
	averages := map[int]bool{}
	for _, counter := range set.Counters {
		for _, output := range counter.Outputs {
			bounds[output.Slot] = output.Measure != check.Avg
			averages[output.Slot] = true
		}
	}
	for _, rule := range set.Rules {
		scanBounds(rule.When, true, averages, bounds)
	}
	return bounds
}

// scanBounds notes the slots that a condition uses otherwise. rising tells that
// the condition holds the rather the more of its parts do.
func scanBounds(n *check.Node, rising bool, windows, bounds map[int]bool) {
	switch {
	case n == nil:
	case n.Op == check.And || n.Op == check.Or:
		for _, arg := range n.Args {
			scanBounds(arg, rising, windows, bounds)
		}
	case n.Op == check.Not:
		scanBounds(n.Args[0], !rising, windows, bounds)
	case n.Op == check.Gt || n.Op == check.Ge || n.Op == check.Lt || n.Op == check.Le:
		above, below := n.Args[0], n.Args[1]
		if n.Op == check.Lt || n.Op == check.Le {
			above, below = below, above
		}
		if !rising {
			above, below = below, above
		}
		if !isWindow(above, windows) {
			spoil(above, windows, bounds)
		}
		spoil(below, windows, bounds)
	default:
		spoil(n, windows, bounds)
	}
}

func isWindow(n *check.Node, windows map[int]bool) bool {
	return n.Op == check.Field && n.Depth == 0 && windows[n.Slot] ||
		n.Op == check.ToFloat && isWindow(n.Args[0], windows)
}

// spoil takes all slots of an expression out.
func spoil(n *check.Node, windows, bounds map[int]bool) {
	if n == nil {
		return
	}
	if isWindow(n, windows) && n.Op == check.Field {
		bounds[n.Slot] = false
	}
	for _, arg := range n.Args {
		spoil(arg, windows, bounds)
	}
}
