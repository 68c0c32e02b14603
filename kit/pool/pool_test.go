package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// run starts a pool and returns what stops it and waits.
func run[T any](t *testing.T, cfg Config, handle func(context.Context, T)) (*Pool[T], func()) {
	t.Helper()
	cfg.Service, cfg.Name = "test", "jobs"
	p, err := New(cfg, handle)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return p, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAcceptedJobsAreHandledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled, running, most atomic.Int64
		p, stop := run(t, Config{Workers: 3, Queue: 2}, func(context.Context, int) {
			now := running.Add(1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			time.Sleep(time.Millisecond) // of the bubble's time
			running.Add(-1)
			handled.Add(1)
		})
		var accepted atomic.Int64
		var senders sync.WaitGroup
		for range 20 {
			senders.Go(func() {
				for range 10 {
					if p.Submit(t.Context(), 1) == nil {
						accepted.Add(1)
					}
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
		stop() // while many still submit
		senders.Wait()
		if handled.Load() != accepted.Load() || most.Load() != 3 {
			t.Errorf("accepted %d, handled %d, at most %d at a time", accepted.Load(), handled.Load(), most.Load())
		}
		if err := p.Submit(t.Context(), 1); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestFullQueuePushesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		registry := prometheus.NewRegistry()
		p, stop := run(t, Config{Workers: 1, Queue: 1, Registerer: registry}, func(context.Context, int) { <-release })
		if err := p.Submit(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the worker has it
		if err := p.TrySubmit(2); err != nil {
			t.Fatal(err)
		}
		if err := p.TrySubmit(3); !errors.Is(err, ErrFull) {
			t.Errorf("got %v, want ErrFull", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Submit(ctx, 4); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		if n := refusals(t, registry); n != 2 {
			t.Errorf("%v refusals", n)
		}
		close(release)
		stop()
	})
}

func refusals(t *testing.T, registry *prometheus.Registry) float64 {
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "backlot_test_jobs_refused_jobs_total" {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return -1
}

func TestDrainEndsJobsThatLastTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		p, stop := run(t, Config{Workers: 1, DrainTimeout: time.Minute}, func(ctx context.Context, _ int) {
			<-ctx.Done()
			cause = ctx.Err()
		})
		if err := p.Submit(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		stop()
		if waited := time.Since(start); waited != time.Minute || cause == nil {
			t.Errorf("waited %v, job saw %v", waited, cause)
		}
	})
}

func TestPanicLosesOnlyItsJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled atomic.Int64
		p, stop := run(t, Config{Workers: 1}, func(_ context.Context, job int) {
			if job == 1 {
				panic("no")
			}
			handled.Add(1)
		})
		for job := range 3 {
			if err := p.Submit(t.Context(), job); err != nil {
				t.Error(err)
			}
		}
		stop()
		if handled.Load() != 2 {
			t.Errorf("%d handled", handled.Load())
		}
	})
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := New(Config{Workers: -1, Queue: -1}, func(context.Context, int) {})
	const want = "service: it is empty\nname: it is empty\nworkers: it is negative\nqueue: it is negative"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
