package runner

import (
	"cmp"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// backoff gives the waits before repeated calls: doubled each time from first
// up to most, of which a random half is taken off.
type backoff struct {
	first, most time.Duration

	mu     sync.Mutex
	random *rand.Rand
}

func newBackoff(first, most time.Duration, seed uint64) *backoff {
	return &backoff{first: first, most: most, random: rand.New(rand.NewPCG(seed, 0x6261636b))}
}

// wait is how long to wait before an attempt; nothing before the first.
func (b *backoff) wait(attempt int) time.Duration { return b.waitBy(tcc.Policy{}, attempt) }

// waitBy is wait with a policy's own times, where it has them.
func (b *backoff) waitBy(policy tcc.Policy, attempt int) time.Duration {
	if attempt <= 1 {
		return 0
	}
	first := cmp.Or(policy.FirstBackoff, b.first)
	most := max(first, cmp.Or(policy.MostBackoff, b.most))
	full := most
	if shift := attempt - 2; shift < 20 && first<<shift < most {
		full = first << shift
	}
	return b.jitter(full)
}

// jitter takes a random part of the second half off.
func (b *backoff) jitter(full time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return full - time.Duration(b.random.Int64N(int64(full)/2+1))
}
