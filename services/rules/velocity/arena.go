package velocity

import (
	"math/bits"
	"sync"
	"unsafe"
)

// arena hands out blocks of memory whose size is a power of two. It takes them
// from Config.Allocate in large pieces, and keeps what is given back for
// blocks of the same size.
type arena struct {
	allocate func(bytes int) []byte

	mu    sync.Mutex
	rest  []byte
	taken int
	free  [bits.UintSize][][]byte // by the logarithm of the size
}

const (
	leastBlock = 512
	firstPiece = 8 << 20 // of which three quarters at least can be huge pages
	mostPiece  = 64 << 20
)

// take returns bytes, all 0 or of a block that was given back.
func (a *arena) take(bytes int) []byte {
	if a.allocate == nil || bytes < leastBlock || bytes&(bytes-1) != 0 {
		return make([]byte, bytes)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	class := bits.Len(uint(bytes))
	if n := len(a.free[class]); n > 0 {
		block := a.free[class][n-1]
		a.free[class] = a.free[class][:n-1]
		return block
	}
	if len(a.rest) < bytes {
		// What is left over is too small for this size only.
		for len(a.rest) >= leastBlock {
			size := 1 << (bits.Len(uint(len(a.rest))) - 1)
			a.put(a.rest[:size:size])
			a.rest = a.rest[size:]
		}
		piece := firstPiece
		for piece < mostPiece && (piece < a.taken/16 || piece < bytes) {
			piece *= 2
		}
		a.rest = a.allocate(max(piece, bytes))
		a.taken += piece
	}
	block := a.rest[:bytes:bytes]
	a.rest = a.rest[bytes:]
	return block
}

// give takes a block back.
func (a *arena) give(block []byte) {
	if a.allocate == nil || len(block) < leastBlock || len(block)&(len(block)-1) != 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put(block)
}

// put keeps a block; mu is held.
func (a *arena) put(block []byte) {
	class := bits.Len(uint(len(block)))
	a.free[class] = append(a.free[class], block)
}

// words is a block of 64-bit words, all 0.
func (a *arena) words(n int) []uint64 {
	if a == nil || a.allocate == nil || n*8 < leastBlock {
		return make([]uint64, n)
	}
	block := a.take(n * 8)
	clear(block)
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(block))), n)
}

func (a *arena) giveWords(words []uint64) {
	if a != nil && len(words)*8 >= leastBlock {
		a.give(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8))
	}
}
