//go:build !amd64

package program

import "unsafe"

// intersect leaves of left, so many words, what count masks hold.
func intersect(left *uint64, words int, masks **uint64, count int) {
	to := unsafe.Slice(left, words)
	for _, mask := range unsafe.Slice(masks, count) {
		for w, word := range unsafe.Slice(mask, words) {
			to[w] &= word
		}
	}
}

// unite adds to joined, so many words, what the masks of count pairs hold
// together.
func unite(joined *uint64, words int, pairs *[2]*uint64, count int) {
	to := unsafe.Slice(joined, words)
	for _, pair := range unsafe.Slice(pairs, count) {
		m, n := unsafe.Slice(pair[0], words), unsafe.Slice(pair[1], words)
		for w := range to {
			to[w] |= m[w] & n[w]
		}
	}
}
