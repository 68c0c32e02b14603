package pressure

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

// calibrate finds how many callers in closed loops get most done in time. How
// much that is has to be measured anew: the best of several had luck. A ledger
// that is young is slower, so that the first loop does not choose.
func (s *server) calibrate() (n int, err error) {
	if _, err := s.closed(callers[0], closedFor); err != nil {
		return 0, err
	}
	best := 0.0
	for _, few := range callers {
		rate, err := s.closed(few, trial)
		if err != nil {
			return 0, err
		}
		if rate > best {
			n, best = few, rate
		}
	}
	if n == 0 {
		return 0, errors.New("no call is done in time")
	}
	return n, nil
}

// closed has so many callers send one call after the other for a time, and
// returns how many a second were done in time. They send the deadlines that open
// loops do; who is refused waits a little: one that came back at once would take a
// processor from the server for nothing.
func (s *server) closed(callers int, lasts time.Duration) (rate float64, err error) {
	var group sync.WaitGroup
	var inTime atomic.Int64
	var mu sync.Mutex
	var answers [][]byte
	s.fresh()
	source := newSource(s.random.Uint64())
	source.prepare(int(lasts.Seconds() * 1000))
	begun := time.Now()
	for range callers {
		group.Go(func() {
			for time.Since(begun) < lasts {
				request := source.next()
				sent := time.Now()
				frame, fault := s.exchange(s.until(sent), request)
				var answer []byte
				if fault == nil {
					answer, fault = answerOf(frame)
				}
				if time.Since(sent) <= patience && fault == nil {
					inTime.Add(1)
				}
				switch code := connect.CodeOf(fault); {
				case fault == nil:
					mu.Lock()
					answers = append(answers, answer)
					mu.Unlock()
				case code == connect.CodeResourceExhausted:
					time.Sleep(backOff) //nolint:forbidigo // as who is refused is told to
				case code != connect.CodeDeadlineExceeded:
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
