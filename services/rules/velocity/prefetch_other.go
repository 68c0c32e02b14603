//go:build !amd64

package velocity

func prefetchSlot(*index, uint64) {}

func prefetchEntry(*byte) {}
