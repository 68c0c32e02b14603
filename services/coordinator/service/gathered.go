package service

import (
	"sync"
	"time"
)

// gathered returns a function that has wake called after each call of it, at
// once where that was not done within pause, else when the pause is over.
func gathered(wake func(), pause time.Duration) func() {
	var mu sync.Mutex
	var latest time.Time
	var due bool
	fire := func() {
		mu.Lock()
		latest, due = time.Now(), false
		mu.Unlock()
		wake()
	}
	return func() {
		mu.Lock()
		wait := pause - time.Since(latest)
		first := !due
		due = true
		mu.Unlock()
		switch {
		case !first:
		case wait <= 0:
			fire()
		default:
			time.AfterFunc(wait, fire)
		}
	}
}
