// Package memory gives a velocity store memory in huge pages where the system
// has them: reading keys at random then misses fewer address translations.
//
//	memory_linux.go  asks for huge pages (madvise)
//	memory_other.go  elsewhere memory is what Go gives
package memory

// Allocate returns zeroed bytes, for velocity.Config.Allocate. They belong to
// the garbage collector, which does not look into them.
func Allocate(bytes int) []byte {
	data := make([]byte, bytes)
	advise(data)
	return data
}
