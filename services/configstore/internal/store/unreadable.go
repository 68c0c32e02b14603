package store

import (
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// maxUnreadable bounds what is remembered of secrets that cannot be opened.
// What is beyond it is logged at each read.
const maxUnreadable = 4096

// unreadable are the secrets that could not be opened when they were read last,
// so that each is logged once. It is safe for concurrent use.
type unreadable struct {
	count atomic.Int64 // of revisions: most reads look at nothing else

	mu        sync.Mutex
	revisions map[string]int64 // by path; nil before the first
}

// met notes a secret that cannot be opened, and tells whether that is news.
func (u *unreadable) met(kv *mvccpb.KeyValue) (news bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	path := string(kv.GetKey())
	before, known := u.revisions[path]
	if !known && len(u.revisions) >= maxUnreadable {
		return true
	}
	if u.revisions == nil {
		u.revisions = make(map[string]int64)
	}
	u.revisions[path] = max(before, kv.GetModRevision())
	u.count.Store(int64(len(u.revisions)))
	return !known
}

// over notes that a secret was opened or deleted, and tells whether it could
// not be opened before. What it was before that tells nothing.
func (u *unreadable) over(kv *mvccpb.KeyValue) bool {
	if u.count.Load() == 0 {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	revision, known := u.revisions[string(kv.GetKey())]
	if !known || kv.GetModRevision() < revision {
		return false
	}
	delete(u.revisions, string(kv.GetKey()))
	u.count.Store(int64(len(u.revisions)))
	return true
}
