package ledger

// memory gives a book what it makes for each transfer from pieces that hold many.
type memory struct {
	transfers []Transfer
	postings  []Posting
	results   []Result
}

// together is how many are made at a time. Who keeps one keeps them all, some 10 kB.
const together = 32

func (m *memory) transfer(postings int) *Transfer {
	t := &take(&m.transfers, 1)[0]
	t.Postings = take(&m.postings, postings)
	return t
}

// Results are n results, for ApplyInto.
func (m *memory) Results(n int) []Result { return take(&m.results, n) }

func take[T any](piece *[]T, n int) []T {
	if n > len(*piece) {
		*piece = make([]T, max(n, together))
	}
	taken := (*piece)[:n:n]
	*piece = (*piece)[n:]
	return taken
}
