package syntax

import "github.com/backlot-video/backlot/services/rules/internal/arena"

// nodes holds what the trees of rules are made of: the common nodes come from
// blocks. It is for one goroutine at a time.
type nodes struct {
	literals arena.Pool[Literal]
	paths    arena.Pool[Path]
	idents   arena.Pool[Ident]
	binaries arena.Pool[Binary]
	logics   arena.Pool[Logic]
	parens   arena.Pool[Paren]
	ins      arena.Pool[In]
	arrays   arena.Pool[Array]
	exprs    arena.Pool[Expr]
	ranges   arena.Pool[Range]
	calls    arena.Pool[Call]
	quants   arena.Pool[Quantifier]
	rules    arena.Pool[Rule]
	terms    arena.Pool[Term]
	fills    arena.Pool[Fill]
}

// Reset takes the nodes of the rules read since the last list or test back for
// the next ones: nothing of those rules must be used any more.
func (n *nodes) Reset() {
	n.literals.Reset()
	n.paths.Reset()
	n.idents.Reset()
	n.binaries.Reset()
	n.logics.Reset()
	n.parens.Reset()
	n.ins.Reset()
	n.arrays.Reset()
	n.exprs.Reset()
	n.ranges.Reset()
	n.calls.Reset()
	n.quants.Reset()
	n.rules.Reset()
	n.terms.Reset()
	n.fills.Reset()
}

// keep leaves the nodes read so far to whoever holds them.
func (n *nodes) keep() {
	n.literals.Keep()
	n.paths.Keep()
	n.idents.Keep()
	n.binaries.Keep()
	n.logics.Keep()
	n.parens.Keep()
	n.ins.Keep()
	n.arrays.Keep()
	n.exprs.Keep()
	n.ranges.Keep()
	n.calls.Keep()
	n.quants.Keep()
	n.rules.Keep()
	n.terms.Keep()
	n.fills.Keep()
}
