package ledger

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// booker books a transfer and returns when it is durable. id is the client's.
type booker interface {
	book(ctx context.Context, id string, from, to int, amount int64) error
}

// pattern chooses the accounts of a transfer.
type pattern struct {
	name   string
	choose func(random *rand.Rand) (from, to int)
}

var (
	spread = pattern{"spread", func(random *rand.Rand) (from, to int) {
		from = random.IntN(accounts)
		return from, (from + 1 + random.IntN(accounts-1)) % accounts
	}}
	hot = pattern{"hot", func(random *rand.Rand) (from, to int) { return 1 + random.IntN(accounts-1), 0 }}
)

// result is what a run came to.
type result struct {
	rate        float64       // transfers a second
	p50, p99    time.Duration // of a transfer
	cpu, server time.Duration // a transfer: of all, of the database's server alone
	allocs      float64       // a transfer, of the client's process
}

// seed of the next run, so that no two use the same ids.
var seed uint64

// run has all clients book for a while. The CPU time is that of this process
// and of the server.
func run(ctx context.Context, b booker, p pattern, serverCPU func() time.Duration) (result, error) {
	seed++
	ends := time.Now().Add(runTime)
	took := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	ownCPU, hisCPU, began := measure.CPU(), serverCPU(), time.Now()
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(c)))
			for time.Now().Before(ends) && errs[c] == nil {
				from, to := p.choose(random)
				start := time.Now()
				errs[c] = b.book(ctx, clientID(random), from, to, 1+random.Int64N(100))
				took[c] = append(took[c], time.Since(start))
			}
		})
	}
	group.Wait()
	wall, own, his := time.Since(began), measure.CPU()-ownCPU, serverCPU()-hisCPU
	runtime.ReadMemStats(&after)
	for _, err := range errs {
		if err != nil {
			return result{}, err
		}
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	n := len(all)
	return result{
		rate: float64(n) / wall.Seconds(), p50: all[n/2], p99: all[n*99/100],
		cpu: (own + his) / time.Duration(n), server: his / time.Duration(n),
		allocs: float64(after.Mallocs-before.Mallocs) / float64(n),
	}, nil
}

// clientID is a UUID of version 7 as clients make them: in the order of time,
// random otherwise.
func clientID(random *rand.Rand) string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(time.Now().UnixMilli())<<16|0x7000|random.Uint64()&0x0fff)
	binary.BigEndian.PutUint64(id[8:], 1<<63|random.Uint64()>>2)
	return hex.EncodeToString(id[:])
}
