package program

// Masks are intersected and united in blocks of so many words.
const blockWords = 16

// maskWords is how many words masks of so many positions have.
func maskWords(positions int) int {
	return max(1, (positions+64*blockWords-1)/(64*blockWords)) * blockWords
}

// sieve intersects masks, several at a time. Those that were added must stay as
// they are until the flush.
type sieve struct {
	left    []uint64
	held    []uint16 // by block of left, once flushed: which of its words hold any
	waiting [32]*uint64
	n       int
}

// begin starts with one mask.
func (s *sieve) begin(m []uint64) {
	s.waiting[0], s.n = &m[0], 1
}

// add leaves what a mask holds.
func (s *sieve) add(m *uint64) {
	if s.n == len(s.waiting) {
		s.flush()
	}
	s.waiting[s.n] = m
	s.n++
}

// keep leaves at once what a mask holds that will not stay as it is.
func (s *sieve) keep(m []uint64) {
	s.add(&m[0])
	s.flush()
}

// flush leaves what the masks that were added hold.
func (s *sieve) flush() {
	intersect(&s.left[0], &s.held[0], len(s.left), &s.waiting[0], s.n)
	s.begin(s.left)
}

// keep leaves of left what a mask holds, and tells which words of its blocks
// hold any.
func keep(left, m []uint64, held []uint16) {
	both := [2]*uint64{&left[0], &m[0]}
	intersect(&left[0], &held[0], len(left), &both[0], len(both))
}

// joint adds what pairs of masks hold together, several at a time.
type joint struct {
	joined  []uint64
	waiting [8][2]*uint64
	n       int
}

// add adds what two masks that stay as they are hold together.
func (j *joint) add(m, n *uint64) {
	if j.n == len(j.waiting) {
		j.flush()
	}
	j.waiting[j.n] = [2]*uint64{m, n}
	j.n++
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
