package syntax

// pool hands out elements of few large blocks. Their addresses stay valid;
// after reset the elements are handed out again.
type pool[T any] struct {
	block []T
	used  int
}

const blockSize = 128

func (p *pool[T]) get() *T {
	if p.used == len(p.block) {
		p.block, p.used = make([]T, blockSize), 0
	}
	element := &p.block[p.used]
	p.used++
	return element
}

// slice hands out n elements side by side, to be appended to up to n.
func (p *pool[T]) slice(n int) []T {
	if p.used+n > len(p.block) {
		p.block, p.used = make([]T, max(blockSize, n)), 0
	}
	part := p.block[p.used : p.used : p.used+n]
	p.used += n
	return part
}

// reset takes all elements of the current block back. Those before it are left
// to whoever holds them.
func (p *pool[T]) reset() {
	clear(p.block[:p.used])
	p.used = 0
}

// arena holds what a tree is made of. The common nodes come from blocks.
type arena struct {
	literals pool[Literal]
	paths    pool[Path]
	idents   pool[Ident]
	binaries pool[Binary]
	logics   pool[Logic]
	parens   pool[Paren]
	ins      pool[In]
	arrays   pool[Array]
	exprs    pool[Expr]
	rules    pool[Rule]
}

// reset takes the nodes of the rule read last back.
func (a *arena) reset() {
	a.literals.reset()
	a.paths.reset()
	a.idents.reset()
	a.binaries.reset()
	a.logics.reset()
	a.parens.reset()
	a.ins.reset()
	a.arrays.reset()
	a.exprs.reset()
	a.rules.reset()
}
