package memory

import (
	"syscall"
	"unsafe"
)

const (
	hugePage     = 2 << 20
	madvHugepage = 14
)

// advise asks for huge pages in the part of data that can have them. Where the
// system refuses, the pages are small.
func advise(data []byte) {
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	skip := int((hugePage - begin%hugePage) % hugePage)
	if length := (len(data) - skip) / hugePage * hugePage; length > 0 {
		_ = syscall.Madvise(data[skip:skip+length], madvHugepage)
	}
}
