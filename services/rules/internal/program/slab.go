package program

// slab hands out slices of few large ones.
type slab[T any] struct{ left []T }

// slabSize is how many elements a slice that is handed out in parts has.
const slabSize = 4096

// cut returns n zero elements.
func (s *slab[T]) cut(n int) []T {
	if n > len(s.left) {
		if n > slabSize/4 { // and what is left is for smaller ones
			return make([]T, n)
		}
		s.left = make([]T, slabSize)
	}
	cut := s.left[:n:n]
	s.left = s.left[n:]
	return cut
}
