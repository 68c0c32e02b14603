// Command fanout measures the store without a network between: how long a
// change takes until many subscribers have it, in milliseconds, and what a
// linearizable read takes, in microseconds of CPU. The comparisons
// configstore/watch and configstore/read of bench run it.
//
//	fanout SUBSCRIBERS CHANGES FOLDER
//	fanout -reads FOLDER
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "-reads" {
		return reads(args[1])
	}
	if len(args) != 3 {
		return fmt.Errorf("%d arguments, want SUBSCRIBERS CHANGES FOLDER or -reads FOLDER", len(args))
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	changes, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	s, end, err := open(args[2])
	if err != nil {
		return err
	}
	defer end()
	times, err := measure(s, n, changes)
	if err != nil {
		return err
	}
	slices.Sort(times)
	at := func(p int) float64 { return float64(times[(len(times)-1)*p/100]) / float64(time.Millisecond) }
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{"P50": at(50), "P95": at(95)})
}

func open(dir string) (*store.Store, func(), error) {
	e, err := engine.Start(context.Background(), engine.Config{DataDir: dir})
	if err != nil {
		return nil, nil, err
	}
	s, err := store.Open(context.Background(), e, store.Config{})
	if err != nil {
		e.Close()
		return nil, nil, err
	}
	return s, func() { s.Close(); e.Close() }, nil
}

// reads has 64 readers read one object for a second, three times: the best
// counts.
func reads(dir string) error {
	s, end, err := open(dir)
	if err != nil {
		return err
	}
	defer end()
	if err := change(context.Background(), s, 1); err != nil {
		return err
	}
	key := object.Key{Tenant: "main", Kind: "RateTable", Name: "rates"}
	best := math.Inf(1)
	for range 3 {
		var work sync.WaitGroup
		var done atomic.Int64
		var fault atomic.Pointer[error]
		began, cpu := time.Now(), spent()
		for range 64 {
			work.Go(func() {
				for time.Since(began) < time.Second {
					if _, err := s.Get(context.Background(), key); err != nil {
						fault.Store(&err)
						return
					}
					done.Add(1)
				}
			})
		}
		work.Wait()
		if err := fault.Load(); err != nil {
			return *err
		}
		best = min(best, float64(spent()-cpu)/float64(done.Load())/float64(time.Microsecond))
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{"CPU": best})
}

// measure makes changes one after the other; the first does not count. Each
// subscriber is a goroutine, with a context of its own as streams have, and
// notes the time for itself.
func measure(s *store.Store, n, changes int) (times []time.Duration, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	defer func() { cancel(); work.Wait() }()
	at := make([]time.Time, n)
	var received sync.WaitGroup
	from := s.Hub().Revision()
	for i := range n {
		ctx, cancel := context.WithCancel(ctx)
		sub, err := s.Subscribe(ctx, "main", "RateTable", "", from)
		if err != nil {
			cancel()
			return nil, err
		}
		work.Go(func() {
			defer cancel()
			defer sub.Close()
			for {
				batch, err := sub.Next()
				if err != nil {
					return
				}
				for range batch.Events {
					at[i] = time.Now()
					received.Done()
				}
			}
		})
	}
	for round := range changes {
		received.Add(n)
		began := time.Now()
		if err := change(ctx, s, round); err != nil {
			return nil, err
		}
		received.Wait()
		for i := range at {
			if round > 0 {
				times = append(times, at[i].Sub(began))
			}
		}
	}
	return times, nil
}

func change(ctx context.Context, s *store.Store, version int) error {
	spec, err := anypb.New(&rulesv1.RateTable{Base: "CNY", Rates: []*rulesv1.RateTable_Rate{{Currency: "USD", Worth: fmt.Sprintf("7.%04d", version)}}})
	if err != nil {
		return err
	}
	_, err = s.Apply(ctx, store.Request{Tenant: "main", Author: "bench", Changes: []*configstorev1.Change{{
		Change: &configstorev1.Change_Put{Put: &configstorev1.Object{Key: &configstorev1.Key{Kind: "RateTable", Name: "rates"}, Spec: spec}},
	}}})
	return err
}
