//go:build !linux

package urgent

func do(fn func()) { fn() }
