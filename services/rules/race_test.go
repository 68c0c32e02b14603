//go:build race

package rules

// The race detector lets sync.Pool drop frames at random.
const tolerated = 30
