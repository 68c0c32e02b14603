//go:build !race

package velocity

const slower = 1
