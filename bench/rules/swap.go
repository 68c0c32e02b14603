package rules

import (
	"errors"
	"fmt"
	"runtime"
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
	swapWindow  = 400 * time.Millisecond
	swapPairs   = 15 // windows with swaps, and as many without
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

	decision            backlot.Decision
	next                int
	swaps, torn, judged int
	took, spent         []time.Duration // wall and CPU of each event of this window
}

// window is what was seen in one window.
type window struct{ p99, p50, cpu99 time.Duration }

// Swap measures Evaluate while a new set is compiled and swapped in every 100
// ms beside it, in turns with undisturbed windows. Its figures are the medians
// of the windows.
func Swap(report *measure.Report, name string, rules []Rule) error {
	s, err := newSwapping(rules)
	if err != nil {
		return err
	}
	var quiet, busy []window
	for range swapPairs {
		if err := s.judge(); err != nil {
			return err
		}
		quiet = append(quiet, s.window())
		if err := s.disturbed(); err != nil {
			return err
		}
		busy = append(busy, s.window())
	}
	p99 := func(w window) time.Duration { return w.p99 }
	p50 := func(w window) time.Duration { return w.p50 }
	cpu99 := func(w window) time.Duration { return w.cpu99 }
	return report.Print(measure.Line{
		Bench: name, Unit: "us p99", Ours: median(busy, p99), Peer: "ours undisturbed", PeerValue: median(quiet, p99),
		Extra: []measure.Extra{
			{Name: "torn", Value: s.torn},
			{Name: "swaps", Value: s.swaps},
			{Name: "judged", Value: s.judged},
			{Name: "p99_cpu_us", Value: median(busy, cpu99)},
			{Name: "undisturbed_p99_cpu_us", Value: median(quiet, cpu99)},
			{Name: "p50_us", Value: median(busy, p50)},
			{Name: "undisturbed_p50_us", Value: median(quiet, p50)},
		},
	})
}

func (s *swapping) window() window {
	return window{percentile(s.took, 0.99), percentile(s.took, 0.5), percentile(s.spent, 0.99)}
}

// median is that of a figure of windows, in microseconds.
func median(windows []window, figure func(window) time.Duration) float64 {
	figures := make([]time.Duration, len(windows))
	for i, w := range windows {
		figures[i] = figure(w)
	}
	return float64(percentile(figures, 0.5).Nanoseconds()) / 1000
}

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
	s := &swapping{schema: schema, options: options, took: make([]time.Duration, 0, 1<<19), spent: make([]time.Duration, 0, 1<<19)}
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
func (s *swapping) disturbed() error {
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
	err := s.judge()
	close(done)
	wait.Wait()
	return errors.Join(err, fault)
}

// judge evaluates events for a window and keeps what each took.
func (s *swapping) judge() error {
	runtime.LockOSThread() // whose CPU time is read
	defer runtime.UnlockOSThread()
	request := &backlot.Request{ReadOnly: true}
	s.took, s.spent = s.took[:0], s.spent[:0]
	for began := time.Now(); time.Since(began) < swapWindow; s.next++ {
		cpu, start := measure.ThreadCPU(), time.Now()
		err := s.current.Load().Evaluate(s.wires[s.next%len(s.wires)], &s.decision, request)
		s.took, s.spent = append(s.took, time.Since(start)), append(s.spent, measure.ThreadCPU()-cpu)
		if err != nil {
			return err
		}
		s.judged++
		for _, rule := range s.decision.Fired {
			if rule.Reason != s.decision.Version {
				s.torn++
				break
			}
		}
	}
	return nil
}
