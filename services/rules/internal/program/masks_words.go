package program

import "unsafe"

// intersectWords is intersect in Go.
func intersectWords(left *uint64, held *uint16, words int, masks **uint64, count int) {
	of := unsafe.Slice(masks, count)
	for w, at := 0, 0; w < words; w += blockWords {
		var some uint16
		for i := range blockWords {
			word := ^uint64(0)
			for _, mask := range of {
				word &= unsafe.Slice(mask, words)[w+i]
			}
			unsafe.Slice(left, words)[w+i] = word
			if word != 0 {
				some |= 1 << i
			}
		}
		unsafe.Slice(held, words/blockWords)[at] = some
		at++
	}
}

// uniteWords is unite in Go.
func uniteWords(joined *uint64, words int, pairs *[2]*uint64, count int) {
	to := unsafe.Slice(joined, words)
	for _, pair := range unsafe.Slice(pairs, count) {
		m, n := unsafe.Slice(pair[0], words), unsafe.Slice(pair[1], words)
		for w := range to {
			to[w] |= m[w] & n[w]
		}
	}
}
