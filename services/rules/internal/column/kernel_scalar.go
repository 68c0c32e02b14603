//go:build !goexperiment.simd || !amd64

package column

// word tests 64 numbers.
func (t *interval) word(block *[64]int64) uint64 { return t.scalarWord(block) }
