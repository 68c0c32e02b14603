//go:build !race

package rules

const tolerated = 0
