package pressure

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

// calibrate finds how many callers in closed loops do most with less than 1%
// late, and how many calls a second that is.
func (s *server) calibrate() (n int, best float64, err error) {
	for _, few := range callers {
		rate, late, err := s.closed(few)
		if err != nil {
			return 0, 0, err
		}
		if late >= 0.01 && n > 0 {
			break
		}
		if rate > best {
			n, best = few, rate
		}
	}
	return n, best, nil
}

// closed has so many callers send one call after the other.
func (s *server) closed(callers int) (rate, late float64, err error) {
	var group sync.WaitGroup
	var calls, lates atomic.Int64
	var mu sync.Mutex
	source := newSource(s.random.Uint64())
	source.prepare(int(closedFor.Seconds() * 400))
	begun := time.Now()
	for range callers {
		group.Go(func() {
			for time.Since(begun) < closedFor {
				request := source.next()
				sent := time.Now()
				fault := s.book(context.Background(), request)
				if fault != nil && connect.CodeOf(fault) == connect.CodeResourceExhausted {
					lates.Add(1) // it would have been
					continue
				}
				if fault != nil {
					mu.Lock()
					err = errors.Join(err, fault)
					mu.Unlock()
					return
				}
				calls.Add(1)
				if time.Since(sent) > patience {
					lates.Add(1)
				}
			}
		})
	}
	group.Wait()
	return float64(calls.Load()) / time.Since(begun).Seconds(), float64(lates.Load()) / float64(max(calls.Load(), 1)), err
}
