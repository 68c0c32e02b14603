package rpc

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// retryBurst is the most retries that a budget saves up, and what it begins
// with, in parts per million of a retry.
const retryBurst = 10 * partsPerMillion

// retryBudget lets retries be a share of the calls. The zero value is full.
type retryBudget struct {
	mu    sync.Mutex
	spent uint64 // retryBurst less the savings
}

// deposit notes a call.
func (b *retryBudget) deposit(ppm uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent -= min(ppm, b.spent)
}

// withdraw takes one retry, false where there is none.
func (b *retryBudget) withdraw() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent+partsPerMillion > retryBurst {
		return false
	}
	b.spent += partsPerMillion
	return true
}

// waitBackoff waits between nothing and backoff*2^(retry-1), whatever chance
// says, and reports whether ctx still lasts. Retries count from 1.
func waitBackoff(ctx context.Context, backoff time.Duration, retry int) bool {
	longest := backoff << min(retry-1, maxBackoffDoublings)
	timer := time.NewTimer(rand.N(longest) + 1)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
