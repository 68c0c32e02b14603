package pressure

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

// calibrate finds how many callers in closed loops get most done in time, and
// how many calls a second that is.
func (s *server) calibrate() (n int, best float64, err error) {
	for _, few := range callers {
		rate, err := s.closed(few)
		if err != nil {
			return 0, 0, err
		}
		if rate > best {
			n, best = few, rate
		}
	}
	if n == 0 {
		return 0, 0, errors.New("no call is done in time")
	}
	return n, best, nil
}

// closed has so many callers send one call after the other, and returns how
// many a second were done in time. Who is refused comes back at once.
func (s *server) closed(callers int) (rate float64, err error) {
	var group sync.WaitGroup
	var inTime atomic.Int64
	var mu sync.Mutex
	var answers [][]byte
	source := newSource(s.random.Uint64())
	source.prepare(int(closedFor.Seconds() * 1000))
	begun := time.Now()
	for range callers {
		group.Go(func() {
			for time.Since(begun) < closedFor {
				request := source.next()
				sent := time.Now()
				answer, fault := s.books.call(sent.Add(longest), request)
				if time.Since(sent) <= patience && fault == nil {
					inTime.Add(1)
				}
				switch {
				case fault == nil:
					mu.Lock()
					answers = append(answers, answer)
					mu.Unlock()
				case connect.CodeOf(fault) != connect.CodeResourceExhausted:
					mu.Lock()
					err = errors.Join(err, fault)
					mu.Unlock()
					return
				}
			}
		})
	}
	group.Wait()
	rate = float64(inTime.Load()) / time.Since(begun).Seconds()
	return rate, errors.Join(err, check(answers))
}
