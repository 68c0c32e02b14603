//go:build !amd64

package program

func intersect(left *uint64, held *uint16, words int, masks **uint64, count int) {
	intersectWords(left, held, words, masks, count)
}

func unite(joined *uint64, words int, pairs *[2]*uint64, count int) {
	uniteWords(joined, words, pairs, count)
}
