// Package arena hands out small things from large blocks, for compilers: what
// one rule needs is taken back before the next one is read. A Pool is for one
// goroutine.
package arena

// Pool hands out elements of blocks. Their addresses stay valid until Reset.
type Pool[T any] struct {
	block []T
	used  int
}

const blockSize = 128

// Get returns a zero element.
func (p *Pool[T]) Get() *T {
	if p.used == len(p.block) {
		p.block, p.used = make([]T, blockSize), 0
	}
	element := &p.block[p.used]
	p.used++
	return element
}

// Slice returns an empty slice with room for n elements.
func (p *Pool[T]) Slice(n int) []T {
	if p.used+n > len(p.block) {
		p.block, p.used = make([]T, max(blockSize, n)), 0
	}
	part := p.block[p.used : p.used : p.used+n]
	p.used += n
	return part
}

// Keep leaves the elements handed out so far to whoever holds them: Reset will
// not take them back.
func (p *Pool[T]) Keep() { p.block, p.used = nil, 0 }

// Reset takes the elements of the current block back. Blocks before it are
// left to whoever holds them.
func (p *Pool[T]) Reset() {
	clear(p.block[:p.used])
	p.used = 0
}
