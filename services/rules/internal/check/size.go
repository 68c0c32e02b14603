package check

import (
	"fmt"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// maxParts bounds a condition after `==`, `default` and `is missing` of
// conditions are spelled out. Each of them needs its condition both ways, so
// nested they double with each level.
const maxParts = 20_000

// bounded reports a condition with more parts than maxParts.
func (c *checker) bounded(rule *syntax.Rule, when *Node) *Node {
	if !c.doubles || parts(when, map[*Node]int{}) <= maxParts {
		return when
	}
	c.fault(rule.When.ExprSpan(), fmt.Sprintf("a condition of more than %d parts, spelled out", maxParts),
		"'==', 'default' and 'is missing' of conditions double them; join them with and, or, not")
	return unknowable
}

// parts counts the leaves and operators that a program has to compile, but not
// beyond the limit.
func parts(n *Node, known map[*Node]int) int {
	if len(n.Args) == 0 {
		return 1
	}
	if count, ok := known[n]; ok {
		return count
	}
	count := 1
	for i, arg := range n.Args {
		of := parts(arg, known)
		if arg.Type.Kind == fact.Bool && (n.Op == IsMissing || n.Op == Default && i == 0) {
			of *= 2
		}
		count = min(count+of, maxParts+1)
	}
	known[n] = count
	return count
}
