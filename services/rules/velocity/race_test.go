//go:build race

package velocity

// slower is by how much less the tests of memory do: the race detector makes
// them slow and they run in one goroutine.
const slower = 8
