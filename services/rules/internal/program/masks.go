package program

// Masks are intersected and united in blocks of so many words.
const blockWords = 8

// maskWords is how many words masks of so many positions have.
func maskWords(positions int) int {
	return (positions + 64*blockWords - 1) / (64 * blockWords) * blockWords
}

// sieve intersects masks, several at a time.
type sieve struct {
	left    []uint64
	waiting [16]*uint64
	n       int
}

// keep leaves what a mask holds: at once, where the mask will not stay as it
// is.
func (s *sieve) keep(m []uint64, stays bool) {
	if stays {
		s.add(m)
		return
	}
	keep(s.left, m)
}

// add leaves what a mask that stays as it is holds.
func (s *sieve) add(m []uint64) {
	s.waiting[s.n] = &m[0]
	if s.n++; s.n == len(s.waiting) {
		s.flush()
	}
}

// flush leaves what the masks that were added hold.
func (s *sieve) flush() {
	if s.n > 0 {
		intersect(&s.left[0], len(s.left), &s.waiting[0], s.n)
		s.n = 0
	}
}

// keep leaves of left what a mask holds.
func keep(left, m []uint64) {
	first := &m[0]
	intersect(&left[0], len(left), &first, 1)
}

// joint adds what pairs of masks hold together, several at a time.
type joint struct {
	joined  []uint64
	waiting [8][2]*uint64
	n       int
}

// add adds what two masks that stay as they are hold together.
func (j *joint) add(m, n []uint64) {
	j.waiting[j.n] = [2]*uint64{&m[0], &n[0]}
	if j.n++; j.n == len(j.waiting) {
		j.flush()
	}
}

// flush adds what the pairs hold.
func (j *joint) flush() {
	if j.n > 0 {
		unite(&j.joined[0], len(j.joined), &j.waiting[0], j.n)
		j.n = 0
	}
}

// joinBoth adds what two masks hold together.
func joinBoth(joined, m, n []uint64) {
	pair := [2]*uint64{&m[0], &n[0]}
	unite(&joined[0], len(joined), &pair, 1)
}

// join adds what a mask holds.
func join(joined, m []uint64) { joinBoth(joined, m, m) }
