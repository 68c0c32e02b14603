package program

import "golang.org/x/sys/cpu"

// wide is whether processor and system have registers of four words.
var wide = cpu.X86.HasAVX2

// intersect puts into left, so many words, what all of count masks hold, one or
// more, and into held a bit for each word of a block that is not zero then. left
// may be one of the masks; words is a multiple of blockWords.
func intersect(left *uint64, held *uint16, words int, masks **uint64, count int) {
	if wide {
		intersectWide(left, held, words, masks, count)
	} else {
		intersectWords(left, held, words, masks, count)
	}
}

// unite adds to joined, so many words, what the masks of count pairs hold
// together; words is a multiple of blockWords.
func unite(joined *uint64, words int, pairs *[2]*uint64, count int) {
	if wide {
		uniteWide(joined, words, pairs, count)
	} else {
		uniteWords(joined, words, pairs, count)
	}
}

//go:noescape
func intersectWide(left *uint64, held *uint16, words int, masks **uint64, count int)

//go:noescape
func uniteWide(joined *uint64, words int, pairs *[2]*uint64, count int)
