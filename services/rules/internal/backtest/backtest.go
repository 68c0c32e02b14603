// Package backtest runs a draft of a ruleset over recorded events and compares
// its verdicts with those of the live version, or with those recorded.
//
//	backtest.go  Config and Run
//	pair.go      both rulesets as one set of conditions
//	input.go     files, compression, formats
//	lines.go     events as lines of JSON
//	parquet.go   events as Parquet; leaf.go its columns, place.go their schema
//	work.go      what one worker does with a piece of input
//	tally.go     what was counted; report.go what is told of it
//	sample.go    events kept as examples
//	band.go      limits that a result must keep
//
// Events are read, decoded and judged in pieces by as many workers as there
// are cores; memory does not depend on the size of the input. Where rules use
// velocity, pieces are counted one after the other in the order of the input,
// which must then ascend in time (Config.Disorder).
package backtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// Source is the source of a ruleset with the lists that it may refer to.
type Source struct {
	Name, Text string
	Lists      *list.Registry // may be nil
}

// Config tells what to run. Zero fields mean the documented default.
type Config struct {
	Schema *fact.Schema
	Draft  Source
	// Live is what the draft is compared with. Nil: the verdict in the field
	// VerdictField of the events.
	Live         *Source
	VerdictField string
	// IgnoreUnknown passes over fields that the fact type does not have.
	IgnoreUnknown bool
	// Inputs are files or patterns of them; "-" is Stdin. A file is lines of
	// JSON, perhaps compressed by gzip or zstd, or Parquet, whatever its name.
	Inputs []string
	Stdin  io.Reader
	// SkipBad is how many events that cannot be read are passed over.
	SkipBad int
	Samples int    // examples of each kind of change, 5; at most 100, below 0 none
	Seed    uint64 // that chooses the examples
	Workers int    // GOMAXPROCS
	// Disorder is how far an event may be earlier than one before it, where
	// rules use velocity. It is then counted late, as the service would. Default 1 minute.
	Disorder time.Duration
	// VelocityBytes bounds the memory of counters, 1 GiB.
	VelocityBytes int64
	Rates         *rate.Table // of convert; none
	Meter         *Meter      // may be nil
}

// Meter tells how far a run is. It may be read at any time.
type Meter struct {
	Events, Bad atomic.Int64
	Read, Total atomic.Int64 // bytes of the input; Total is 0 when it is unknown
}

// ErrInput is wrapped by errors about the events.
var ErrInput = errors.New("backtest: bad input")

func (c *Config) complete() error {
	switch {
	case c.Schema == nil:
		return errors.New("backtest: no fact type")
	case len(c.Inputs) == 0:
		return errors.New("backtest: no events")
	case c.Live == nil && c.VerdictField == "":
		return errors.New("backtest: give a live ruleset, or the field of the recorded verdict")
	case c.Samples > 100:
		return errors.New("backtest: at most 100 samples of each kind are kept")
	}
	if c.Samples == 0 {
		c.Samples = 5
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Disorder <= 0 {
		c.Disorder = time.Minute
	}
	if c.VelocityBytes <= 0 {
		c.VelocityBytes = 1 << 30
	}
	if c.Meter == nil {
		c.Meter = &Meter{}
	}
	return nil
}

// Run judges all events. When ctx ends before, the result tells of what was
// judged by then and is marked as partial. The error of a ruleset that does
// not compile is a rules.Errors.
func Run(ctx context.Context, config Config) (*Result, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	began := time.Now()
	pair, err := newPair(&config)
	if err != nil {
		return nil, err
	}
	inputs, err := openInputs(&config)
	if err != nil {
		return nil, err
	}
	defer inputs.close()
	r := &run{config: &config, pair: pair, pieces: make(chan *piece, config.Workers), free: make(chan []byte, 3*config.Workers)}
	if err := r.all(ctx, inputs); err != nil {
		return nil, err
	}
	return r.result(ctx.Err() != nil, time.Since(began)), nil
}

// run is the state that the reader and the workers share.
type run struct {
	config *Config
	pair   *pair
	pieces chan *piece
	free   chan []byte // buffers of pieces that were judged
	tally  *tally      // of all workers, when they have ended

	mu  sync.Mutex
	bad []Bad // the first of them
}

// maxBadShown is how many events that could not be read are told.
const maxBadShown = 10

// all reads the inputs while workers judge them.
func (r *run) all(ctx context.Context, inputs *inputs) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tallies := make([]*tally, r.config.Workers)
	var working sync.WaitGroup
	for i := range tallies {
		w := newWorker(r)
		tallies[i] = w.tally
		working.Go(func() {
			for p := range r.pieces {
				if err := w.piece(ctx, p); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := inputs.read(ctx, r)
	close(r.pieces)
	if err != nil {
		cancel(err)
	}
	working.Wait()
	r.tally = tallies[0]
	for _, other := range tallies[1:] {
		r.tally.merge(other)
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// Bad is an event that could not be read.
type Bad struct {
	File   string `json:"file"`
	Number int64  `json:"number"` // line or row, from 1
	Reason string `json:"reason"`
}

// Error implements error.
func (b *Bad) Error() string { return fmt.Sprintf("%s:%d: %s", b.File, b.Number, b.Reason) }

// reject counts an event that cannot be read. The error is that there are
// more than may be.
func (r *run) reject(bad Bad) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bad = append(r.bad, bad)
	if len(r.bad) > maxBadShown {
		r.bad = firstBad(r.bad)
	}
	if n := r.config.Meter.Bad.Add(1); n > int64(r.config.SkipBad) {
		first := firstBad(r.bad)[0]
		if r.config.SkipBad == 0 {
			return fmt.Errorf("%w: %w", ErrInput, &first)
		}
		return fmt.Errorf("%w: more than %d events cannot be read, the first is %w", ErrInput, r.config.SkipBad, &first)
	}
	return nil
}
