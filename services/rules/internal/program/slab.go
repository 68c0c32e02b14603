package program

// slab hands out slices of few large ones.
type slab[T any] struct{ left []T }

// cut returns n zero elements.
func (s *slab[T]) cut(n int) []T {
	if n > len(s.left) {
		s.left = make([]T, max(n, 4096))
	}
	cut := s.left[:n:n]
	s.left = s.left[n:]
	return cut
}
