package pressure

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
)

// load is what came of a load.
type load struct {
	capacity  float64 // calls a second
	accepted  int
	inTime    int
	refused   int
	answers   []time.Duration // of accepted calls, from when they were due
	refusals  []time.Duration // from when they were sent
	rssBefore int64           // bytes
	rss       int64
	failed    error
}

func (l load) goodput() float64 {
	return float64(l.inTime) / (loadFor - warm).Seconds() / l.capacity
}

// transfers is a call's worth of them, between accounts at random.
func transfers(random *rand.Rand, id string) *settlementv1.CreateTransfersRequest {
	request := &settlementv1.CreateTransfersRequest{Transfers: make([]*settlementv1.NewTransfer, transferBatch)}
	for i := range request.Transfers {
		from := random.IntN(accounts)
		to := (from + 1 + random.IntN(accounts-1)) % accounts
		amount := &moneyv1.Money{Minor: 1 + random.Int64N(1000), Currency: "USD"}
		request.Transfers[i] = &settlementv1.NewTransfer{
			ClientId: id + "-" + strconv.Itoa(i), Type: "move", Currency: "USD",
			Postings: []*settlementv1.NewPosting{
				{AccountId: accountID(from), Side: settlementv1.Side_SIDE_DEBIT, Amount: amount},
				{AccountId: accountID(to), Side: settlementv1.Side_SIDE_CREDIT, Amount: amount},
			},
		}
	}
	return request
}

func accountID(n int) string { return "account-" + strconv.Itoa(n) }

// book books and returns an error where any transfer has one.
func (s *server) book(ctx context.Context, request *settlementv1.CreateTransfersRequest) error {
	response, err := s.booking.CreateTransfers(ctx, request)
	if err != nil {
		return err
	}
	for _, result := range response.GetResults() {
		if result.GetError() != nil {
			return fmt.Errorf("transfer: %v", result.GetError())
		}
	}
	return nil
}

// capacity is the most calls a second with less than 1% late, by closed loops.
func (s *server) capacity() (best float64, err error) {
	for _, n := range callers {
		rate, late, err := s.closed(n)
		if err != nil {
			return 0, err
		}
		if late >= 0.01 && best > 0 {
			break
		}
		best = max(best, rate)
	}
	return best, nil
}

func (s *server) closed(callers int) (rate, late float64, err error) {
	var group sync.WaitGroup
	var calls, lates atomic.Int64
	var mu sync.Mutex
	begun := time.Now()
	for n := range callers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), uint64(begun.UnixNano())))
			for i := 0; time.Since(begun) < tryFor; i++ {
				sent := time.Now()
				fault := s.book(context.Background(), transfers(random, fmt.Sprintf("c%d-%d-%d", begun.UnixNano(), n, i)))
				if connect.CodeOf(fault) == connect.CodeResourceExhausted && fault != nil {
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

// open sends calls at random times, so many a second, whether or not those
// before have been answered.
func (s *server) open(perSecond float64, deadlines bool) (l load) {
	random := rand.New(rand.NewPCG(1, uint64(perSecond)))
	var group sync.WaitGroup
	var mu sync.Mutex
	begun := time.Now()
	counts := begun.Add(warm)
	due := begun
	for i := 0; ; i++ {
		due = due.Add(time.Duration(random.ExpFloat64() / perSecond * float64(time.Second)))
		if due.Sub(begun) > loadFor {
			break
		}
		request := transfers(random, fmt.Sprintf("o%d-%d", begun.UnixNano(), i))
		at := due
		time.Sleep(time.Until(at)) //nolint:forbidigo // calls are due at times, whatever becomes of others
		group.Go(func() {
			ctx, cancel := context.WithDeadline(context.Background(), at.Add(patience))
			if !deadlines {
				ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
			}
			defer cancel()
			sent := time.Now()
			err := s.book(ctx, request)
			ended := time.Now()
			if at.Before(counts) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			l.note(err, at, sent, ended)
		})
	}
	group.Wait()
	return l
}

// note counts a call. One whose deadline passed was accepted, and late.
func (l *load) note(err error, due, sent, ended time.Time) {
	switch {
	case err == nil:
		l.accepted++
		l.answers = append(l.answers, ended.Sub(due))
		if ended.Sub(due) <= patience {
			l.inTime++
		}
	case connect.CodeOf(err) == connect.CodeResourceExhausted:
		l.refused++
		l.refusals = append(l.refusals, ended.Sub(sent))
	case connect.CodeOf(err) == connect.CodeDeadlineExceeded:
		l.accepted++
		l.answers = append(l.answers, ended.Sub(due))
	default:
		l.failed = err
	}
}
