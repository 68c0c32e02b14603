//go:build goexperiment.simd && amd64

package column

import "simd/archsimd"

// word tests 64 numbers, eight at a time where the processor can.
func (t *interval) word(block *[64]int64) (found uint64) {
	if !archsimd.X86.AVX512() {
		return t.scalarWord(block)
	}
	low, span := archsimd.BroadcastInt64x8(t.low), archsimd.BroadcastUint64x8(t.span)
	for i := 0; i < 64; i += 8 {
		eight := archsimd.LoadInt64x8((*[8]int64)(block[i:]))
		inside := eight.Sub(low).AsUint64x8().LessEqual(span)
		found |= uint64(inside.ToBits()) << i
	}
	return found
}
