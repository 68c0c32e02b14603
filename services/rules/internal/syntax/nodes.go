package syntax

import "github.com/backlot-video/backlot/services/rules/internal/arena"

// nodes holds what a tree is made of. The common nodes come from blocks.
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
}

// reset takes the nodes of the rule read last back.
func (n *nodes) reset() {
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
}
