// Package arena hands out small things from large blocks, for compilers: what
// some rules need is taken back before the next ones are read. A Pool is for
// one goroutine at a time.
package arena

import "unsafe"

// Pool hands out elements of blocks. Their addresses stay valid until Reset.
type Pool[T any] struct {
	block []T
	used  int
	full  [][]T // blocks before this one
	spare [][]T // zero blocks to use next
}

const (
	firstSize  = 8 // elements of the first block; each of the next has twice as many
	blockSize  = 128
	blockBytes = 4096 // at least, of small elements
	maxSpare   = 64   // blocks that wait for their next use
)

// size is how many elements a block has at most, but for long slices.
func (p *Pool[T]) size() int { return max(blockSize, blockBytes/int(unsafe.Sizeof(*new(T)))) }

// Get returns a zero element.
func (p *Pool[T]) Get() *T {
	if p.used == len(p.block) {
		p.next(1)
	}
	element := &p.block[p.used]
	p.used++
	return element
}

// Slice returns an empty slice with room for n elements.
func (p *Pool[T]) Slice(n int) []T {
	if p.used+n > len(p.block) {
		p.next(n)
	}
	part := p.block[p.used : p.used : p.used+n]
	p.used += n
	return part
}

// next begins a block with room for n elements.
func (p *Pool[T]) next(n int) {
	if len(p.block) > 0 {
		p.full = append(p.full, p.block)
	}
	p.used = 0
	size := p.size()
	if last := len(p.spare) - 1; last >= 0 && n <= size {
		p.block, p.spare = p.spare[last], p.spare[:last]
		return
	}
	p.block = make([]T, max(min(2*len(p.block), size), firstSize, n))
}

// Keep leaves the elements handed out so far to whoever holds them: Reset will
// not take them back.
func (p *Pool[T]) Keep() { p.block, p.used, p.full = nil, 0, nil }

// Reset takes the elements handed out so far back.
func (p *Pool[T]) Reset() {
	size := p.size()
	for i, block := range p.full {
		if len(block) == size && len(p.spare) < maxSpare {
			clear(block)
			p.spare = append(p.spare, block)
		}
		p.full[i] = nil
	}
	p.full = p.full[:0]
	clear(p.block[:p.used])
	p.used = 0
}
