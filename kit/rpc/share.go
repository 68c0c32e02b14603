package rpc

// shares tell whose turn it is among idle endpoints: each comes as often as
// its weight says, and those of one endpoint are spread over the turns.
type shares struct {
	ends []uint64 // of each endpoint, by its place; empty: all weigh the same
	step uint64   // has no divisor in common with the last end
}

func newShares(endpoints []*member) shares {
	var divisor uint64
	same := true
	for _, e := range endpoints {
		divisor = commonDivisor(uint64(e.weight()), divisor)
		same = same && e.weight() == endpoints[0].weight()
	}
	if same {
		return shares{}
	}
	s := shares{ends: make([]uint64, len(endpoints))}
	var total uint64
	for i, e := range endpoints {
		total += uint64(e.weight()) / divisor
		s.ends[i] = total
	}
	// Near the golden section the turns of each are spread most evenly.
	for s.step = max(1, total*618/1000); commonDivisor(s.step, total) != 1; {
		s.step++
	}
	return s
}

// first is the place, of n, of the endpoint whose turn it is.
func (s *shares) first(turn uint64, n int) int {
	if len(s.ends) == 0 {
		return int(turn % uint64(n))
	}
	total := s.ends[n-1]
	at := turn % total * s.step % total
	for i, end := range s.ends {
		if at < end {
			return i
		}
	}
	return 0
}

func commonDivisor(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
