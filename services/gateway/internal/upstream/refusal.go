package upstream

import (
	"errors"
	"fmt"
	"time"
)

// Refusals. Errors that are one of the last two carry when to come back.
var (
	// ErrNoEndpoint: the cluster has no endpoint that takes requests.
	ErrNoEndpoint = errors.New("no endpoint of the service is available")
	// ErrFull: as much is on the way as may be.
	ErrFull = errors.New("too many requests are in flight to the service")
	// ErrOpen: the service fails so often that it is left alone for a while.
	ErrOpen = errors.New("the service fails too often and is left alone for a while")
)

// The bounds that refuse.
const (
	boundRequests = iota
	boundRetries
	boundPending
	boundErrors
	bounds
)

var boundNames = [bounds]string{"requests", "retries", "pending", "errors"}

// Refusal is ErrFull or ErrOpen with its details.
type Refusal struct {
	Err   error
	Bound string        // requests, pending or errors
	After time.Duration // when to come back, in whole seconds, 1 s to 1 min
}

// Error implements error.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap makes errors.Is find ErrFull and ErrOpen.
func (r *Refusal) Unwrap() error { return r.Err }

const longestAfter = 60 // seconds

// refusals are all that there can be, so that refusing allocates nothing: it
// is then that there is the least to spare.
var refusals = func() (all [bounds][longestAfter + 1]Refusal) {
	for bound := range all {
		err := ErrFull
		if bound == boundErrors {
			err = ErrOpen
		}
		for seconds := range all[bound] {
			all[bound][seconds] = Refusal{Err: err, Bound: boundNames[bound], After: time.Duration(seconds) * time.Second}
		}
	}
	return all
}()

// full refuses by a bound that is free again in about this time.
func full(bound int, wait time.Duration) error { return refusal(bound, wait) }

// open refuses until a breaker's next probe.
func open(wait time.Duration) error { return refusal(boundErrors, wait) }

func refusal(bound int, wait time.Duration) error {
	seconds := (wait + time.Second - 1) / time.Second
	return &refusals[bound][min(max(seconds, 1), longestAfter)]
}

// RetryAfter tells when to come back after a refusal, in whole seconds from
// 1 s to 1 min.
func RetryAfter(err error) time.Duration {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.After
	}
	return time.Second
}

// DialError means that no connection could be made: nothing was sent.
type DialError struct {
	Address string
	Err     error
}

// Error implements error.
func (e *DialError) Error() string { return fmt.Sprintf("connect to %s: %v", e.Address, e.Err) }

// Unwrap gives the cause.
func (e *DialError) Unwrap() error { return e.Err }
