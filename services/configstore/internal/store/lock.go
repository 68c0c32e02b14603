package store

import (
	"context"
	"slices"
	"sync"
)

// keyLocks has releases of this member that change the same object wait for
// each other, first come first served, from the look at the object until it is
// written. It spares them from trying in vain; that nothing is lost is due to
// what transactions compare, other members being there too.
type keyLocks struct {
	mu   sync.Mutex
	held map[string]*keyLock
}

type keyLock struct {
	taken chan struct{} // holds one while the key is taken
	users int
}

// acquire takes all keys and returns what gives them back. It fails where ctx
// ends first.
func (l *keyLocks) acquire(ctx context.Context, keys []string) (release func(), err error) {
	keys = slices.Clone(keys)
	slices.Sort(keys) // the same order for all: nobody waits in a circle
	for n, key := range keys {
		if err := l.lock(ctx, key); err != nil {
			l.unlock(keys[:n])
			return nil, err
		}
	}
	return func() { l.unlock(keys) }, nil
}

// try is acquire where nobody has any of the keys, nor waits for one. Each key
// is given once.
func (l *keyLocks) try(keys []string) (release func(), free bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		if l.held[key] != nil {
			return nil, false
		}
	}
	for _, key := range keys {
		one := l.enter(key)
		one.taken <- struct{}{}
	}
	return func() { l.unlock(keys) }, true
}

func (l *keyLocks) lock(ctx context.Context, key string) error {
	l.mu.Lock()
	one := l.enter(key)
	l.mu.Unlock()
	select {
	case one.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		l.leave(key, one)
		return context.Cause(ctx)
	}
}

// enter counts a user of a key; l.mu is held.
func (l *keyLocks) enter(key string) *keyLock {
	one := l.held[key]
	if one == nil {
		one = &keyLock{taken: make(chan struct{}, 1)}
		if l.held == nil {
			l.held = make(map[string]*keyLock)
		}
		l.held[key] = one
	}
	one.users++
	return one
}

func (l *keyLocks) unlock(keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		one := l.held[key]
		<-one.taken
		l.leave(key, one)
	}
}

// leave forgets a key that nobody uses; l.mu is held.
func (l *keyLocks) leave(key string, one *keyLock) {
	if one.users--; one.users == 0 {
		delete(l.held, key)
	}
}
