package column

import "golang.org/x/sys/cpu"

// vectors tells whether the processor has what the kernels in assembly need.
var vectors = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW

// intervalWords sets in out the rows of sel whose value is in low to low+span,
// bits flipped by flip before. values has 64 for each word.
//
//go:noescape
func intervalWords(values []int64, low int64, span, flip uint64, sel, out Bits)

// codeWords sets in out the rows of sel whose code has a 1 in table, bits
// flipped by flip before. Codes are below 32*tableWords.
//
//go:noescape
func codeWords(values []uint32, table *[tableWords]uint32, flip uint64, sel, out Bits)
