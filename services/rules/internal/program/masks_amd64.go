package program

// intersect leaves of left, so many words, what count masks hold; words is a
// multiple of blockWords.
//
//go:noescape
func intersect(left *uint64, words int, masks **uint64, count int)

// unite adds to joined, so many words, what the masks of count pairs hold
// together; words is a multiple of blockWords.
//
//go:noescape
func unite(joined *uint64, words int, pairs *[2]*uint64, count int)
