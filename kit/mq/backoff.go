package mq

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff doubles a pause from least to most, with up to half taken off at
// random.
type backoff struct{ next, most time.Duration }

func newBackoff(least, most time.Duration) *backoff { return &backoff{least, most} }

// sleep pauses, and reports false once ctx ends.
func (b *backoff) sleep(ctx context.Context) bool {
	pause := b.next - rand.N(b.next/2+1)
	b.next = min(2*b.next, b.most)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
