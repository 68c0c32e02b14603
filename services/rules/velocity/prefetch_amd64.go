package velocity

// prefetchSlot fetches where the search for a part of a hash begins. It may be
// called while another goroutine changes the index: then it fetches in vain.
//
//go:noescape
func prefetchSlot(x *index, fragment uint64)

// prefetchEntry fetches the first 192 bytes of an entry, and does not wait for
// them.
//
//go:noescape
func prefetchEntry(data *byte)
