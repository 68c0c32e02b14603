package upstream

import (
	"errors"
	"fmt"
	"time"
)

// Refusals; errors that are one of them may carry when to come back.
var (
	// ErrNoEndpoint: the cluster has no endpoint that takes requests.
	ErrNoEndpoint = errors.New("no endpoint of the service is available")
	// ErrFull: as much is on the way as may be.
	ErrFull = errors.New("too many requests are in flight to the service")
	// ErrOpen: the service fails so often that it is left alone for a while.
	ErrOpen = errors.New("the service fails too often and is left alone for a while")
)

// Refusal is ErrFull or ErrOpen with its details.
type Refusal struct {
	Err   error
	Bound string        // requests, connections, pending or errors
	After time.Duration // when to come back, in whole seconds, 1 s to 1 min
}

// Error implements error.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap makes errors.Is find ErrFull and ErrOpen.
func (r *Refusal) Unwrap() error { return r.Err }

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
