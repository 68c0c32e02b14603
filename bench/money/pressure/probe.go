package pressure

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
)

// probeEvery is how often a call is sent for which nothing is done.
const probeEvery = 10 * time.Millisecond

// probe measures, until ctx ends, what a call takes that the same server answers
// at once whatever its load is: one that its caller may not make. It asks for no
// admission and needs no ledger, so that what a refusal takes beyond it is
// admission's, and the rest the machine's.
func (s *server) probe(ctx context.Context) (trips []time.Duration, err error) {
	ticks := time.NewTicker(probeEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return trips, nil
		case <-ticks.C:
		}
		sent := time.Now()
		_, err := s.payouts.call(sent.Add(longest), nil)
		if code := connect.CodeOf(err); code != connect.CodePermissionDenied {
			return trips, fmt.Errorf("a call that may not be made: %w", err)
		}
		trips = append(trips, time.Since(sent))
	}
}

// probing has probe run until stop is called, which returns what it measured.
func (s *server) probing() (stop func() ([]time.Duration, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	var trips []time.Duration
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		trips, err = s.probe(ctx)
	}()
	return func() ([]time.Duration, error) {
		cancel()
		<-ended
		return trips, err
	}
}
