//go:build !race

package simulation

// seeds are the whole run; racing_test.go says why the race detector sees less.
const seeds = 10_000
