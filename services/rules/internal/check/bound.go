package check

// noteBounds notes the slots of velocity for which a rule needs more than a
// lower bound. Where rules only ask whether the value is above something, a
// value that is too low can at worst leave a rule silent. An average has no
// lower bound. A sum is taken to have one, as amounts of orders are not
// negative.
func (c *checker) noteBounds(when *Node) {
	windows := map[int]bool{}
	for _, counter := range c.set.Counters {
		for _, output := range counter.Outputs {
			windows[output.Slot] = true
			if output.Measure == Avg {
				c.set.Exact[output.Slot] = true
			}
		}
	}
	scanBounds(when, true, windows, c.set.Exact)
}

// scanBounds notes the slots that a condition uses otherwise. rising tells that
// the condition holds the rather the more of its parts do.
func scanBounds(n *Node, rising bool, windows, exact map[int]bool) {
	switch {
	case n == nil:
	case n.Op == And || n.Op == Or:
		for _, arg := range n.Args {
			scanBounds(arg, rising, windows, exact)
		}
	case n.Op == Not:
		scanBounds(n.Args[0], !rising, windows, exact)
	case n.Op == Gt || n.Op == Ge || n.Op == Lt || n.Op == Le:
		above, below := n.Args[0], n.Args[1]
		if n.Op == Lt || n.Op == Le {
			above, below = below, above
		}
		if !rising {
			above, below = below, above
		}
		if !isWindow(above, windows) {
			spoil(above, windows, exact)
		}
		spoil(below, windows, exact)
	default:
		spoil(n, windows, exact)
	}
}

func isWindow(n *Node, windows map[int]bool) bool {
	return n.Op == Field && n.Depth == 0 && windows[n.Slot] ||
		n.Op == ToFloat && isWindow(n.Args[0], windows)
}

// spoil notes all slots of an expression.
func spoil(n *Node, windows, exact map[int]bool) {
	if n == nil {
		return
	}
	if isWindow(n, windows) && n.Op == Field {
		exact[n.Slot] = true
	}
	for _, arg := range n.Args {
		spoil(arg, windows, exact)
	}
}
