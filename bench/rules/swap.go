package rules

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
	backlot "github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
)

const (
	swapEvery   = 100 * time.Millisecond
	swapWindow  = time.Second
	swapWindows = 12 // half of them undisturbed
	swapVersion = 4  // versions that follow each other
)

// swapping judges events by the program in force while versions of a set are
// compiled and swapped in. All rules of a version have its name as reason, so
// that a decision by parts of two versions shows.
type swapping struct {
	schema  *fact.Schema
	options *backlot.Options
	sources [swapVersion]string
	wires   [][]byte
	current atomic.Pointer[backlot.Program]

	decision    backlot.Decision
	next        int
	swaps, torn int
	judged      int
	quiet, busy []time.Duration
}

// Swap measures Evaluate while a new set is compiled and swapped in every 100
// ms beside it, in turns with undisturbed windows.
func Swap(report *measure.Report, name string, rules []Rule) error {
	s, err := newSwapping(rules)
	if err != nil {
		return err
	}
	for window := range swapWindows {
		if window%2 == 0 {
			s.quiet, err = s.judge(s.quiet)
		} else {
			s.busy, err = s.disturbed(s.busy)
		}
		if err != nil {
			return err
		}
	}
	quiet, busy := percentile(s.quiet, 0.99), percentile(s.busy, 0.99)
	return report.Print(measure.Line{
		Bench: name, Unit: "us p99", Ours: microseconds(busy), Peer: "ours undisturbed", PeerValue: microseconds(quiet),
		Extra: []measure.Extra{
			{Name: "swaps", Value: s.swaps},
			{Name: "judged", Value: s.judged},
			{Name: "torn", Value: s.torn},
			{Name: "p50_us", Value: microseconds(percentile(s.busy, 0.5))},
			{Name: "undisturbed_p50_us", Value: microseconds(percentile(s.quiet, 0.5))},
		},
	})
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// percentile sorts.
func percentile(took []time.Duration, share float64) time.Duration {
	slices.Sort(took)
	return took[int(share*float64(len(took)-1))]
}

func newSwapping(rules []Rule) (*swapping, error) {
	events := Measured()
	schema, err := Schema()
	if err != nil {
		return nil, err
	}
	options, err := Options(events)
	if err != nil {
		return nil, err
	}
	s := &swapping{schema: schema, options: options}
	for i := range s.sources {
		s.sources[i] = Source(rules, fmt.Sprintf("V%d", i))
	}
	for i := range events {
		s.wires = append(s.wires, events[i].Wire())
	}
	return s, s.swap(0)
}

// swap compiles a version and puts it in force.
func (s *swapping) swap(number int) error {
	options := *s.options
	options.Version = fmt.Sprintf("V%d", number%swapVersion)
	program, err := backlot.Compile("bench", s.sources[number%swapVersion], s.schema, &options)
	if err != nil {
		return err
	}
	s.current.Store(program)
	return nil
}

// disturbed judges for a window in which versions are swapped in.
func (s *swapping) disturbed(took []time.Duration) ([]time.Duration, error) {
	var wait sync.WaitGroup
	done := make(chan struct{})
	var fault error
	wait.Go(func() {
		ticker := time.NewTicker(swapEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				s.swaps++
				if fault = s.swap(s.swaps); fault != nil {
					return
				}
			}
		}
	})
	took, err := s.judge(took)
	close(done)
	wait.Wait()
	if err == nil {
		err = fault
	}
	return took, err
}

// judge evaluates events for a window and adds what each took.
func (s *swapping) judge(took []time.Duration) ([]time.Duration, error) {
	request := &backlot.Request{ReadOnly: true}
	took = slices.Grow(took, 1<<20)
	for began := time.Now(); time.Since(began) < swapWindow; s.next++ {
		start := time.Now()
		err := s.current.Load().Evaluate(s.wires[s.next%len(s.wires)], &s.decision, request)
		took = append(took, time.Since(start))
		if err != nil {
			return nil, err
		}
		s.judged++
		for _, rule := range s.decision.Fired {
			if rule.Reason != s.decision.Version {
				s.torn++
				break
			}
		}
	}
	return took, nil
}
