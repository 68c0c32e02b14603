//go:build !amd64

package column

const vectors = false

func intervalWords([]int64, int64, uint64, uint64, Bits, Bits) {}

func codeWords([]uint32, *[tableWords]uint32, uint64, Bits, Bits) {}
