//go:build unix

package store

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkFanOut is one change to 5,000 subscribers that are goroutines:
// until all have it, and the CPU time that it takes.
func BenchmarkFanOut(b *testing.B) {
	const subscribers = 5000
	h, words := emptyHub(), topic{"main", "Word"}
	ctx, cancel := context.WithCancel(b.Context())
	var running, received sync.WaitGroup
	received.Add(subscribers)
	for range subscribers {
		ctx, cancel := context.WithCancel(ctx) // as each stream has its own
		sub, err := h.subscribe(ctx, words, "", 10)
		if err != nil {
			b.Fatal(err)
		}
		running.Go(func() {
			defer cancel()
			defer sub.Close()
			for {
				batch, err := sub.Next()
				if err != nil {
					return
				}
				for range batch.Events {
					received.Done()
				}
			}
		})
	}
	list := events("one")
	h.add(words, 11, list)
	received.Wait()
	revision := int64(11)
	b.ReportAllocs()
	begin := used()
	for b.Loop() {
		received.Add(subscribers)
		revision++
		h.add(words, revision, list)
		received.Wait()
	}
	b.ReportMetric(float64(used()-begin)/float64(b.N)/1e3, "cpu-us/op")
	cancel()
	running.Wait()
}

func used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
