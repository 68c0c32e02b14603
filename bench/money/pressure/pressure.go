// Package pressure loads a settlement process with more than it can book, by an
// open loop, and measures what comes of it.
//
//	pressure.go  the comparison and what it reports
//	load.go      callers: a closed loop for the capacity, an open one for the load
//	server.go    the process under test
//
// The peer is the same server with --settlement.admission=false: a plain queue
// of 1024 calls before each ledger, without deadlines. Both are real processes
// on SQLite with fsync on, called by Kitex; a call books transferBatch transfers, so
// that the ledger is what is short, and not the processor time of callers. The
// capacity is that of the number of callers in a closed loop that does most with
// less than 1% late.
package pressure

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// Benches are the comparisons of this package.
var Benches = []measure.Bench{{Name: "money/pressure", Run: run}}

const (
	patience      = 80 * time.Millisecond
	transferBatch = 64
	accounts      = 10_000
	tryFor        = 2 * time.Second // each number of callers
	loadFor       = 6 * time.Second // each load; the first second does not count
	warm          = time.Second
)

var (
	callers = []int{4, 8, 16}
	loads   = []float64{1.1, 1.5, 3}
)

func run(r *measure.Report) (err error) {
	dir, err := os.MkdirTemp("", "backlot-pressure-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, err := build(dir)
	if err != nil {
		return err
	}
	for _, times := range loads {
		if err := compare(r, dir, program, times); err != nil {
			return err
		}
	}
	return nil
}

// compare measures one load. Capacity is measured anew on each server, right
// before its load, since a shared machine has good and bad minutes.
func compare(r *measure.Report, dir, program string, times float64) error {
	ours, err := one(dir, program, times, true)
	if err != nil {
		return err
	}
	peer, err := one(dir, program, times, false)
	if err != nil {
		return err
	}
	return r.Print(measure.Line{
		Bench: "money/pressure", Unit: "goodput_of_capacity", Higher: true,
		Ours: ours.goodput(), Peer: "fixed queue of 1024 (--settlement.admission=false)", PeerValue: peer.goodput(),
		Extra: slices.Concat(
			[]measure.Extra{{Name: "load", Value: times}, {Name: "capacity_transfers_per_s", Value: ours.capacity * transferBatch}},
			ours.extra(""), peer.extra("peer_"),
		),
	})
}

// extra is what else is worth knowing of a load.
func (l load) extra(prefix string) []measure.Extra {
	return []measure.Extra{
		{Name: prefix + "late_percent", Value: 100 * float64(l.accepted-l.inTime) / float64(max(l.accepted, 1))},
		{Name: prefix + "refused_percent", Value: 100 * float64(l.refused) / float64(max(l.refused+l.accepted, 1))},
		{Name: prefix + "refusal_ms_p50", Value: quantile(l.refusals, 0.5)},
		{Name: prefix + "refusal_ms_p99", Value: quantile(l.refusals, 0.99)},
		{Name: prefix + "accepted_ms_p50", Value: quantile(l.answers, 0.5)},
		{Name: prefix + "accepted_ms_p99", Value: quantile(l.answers, 0.99)},
		{Name: prefix + "rss_mb", Value: float64(l.rss) / (1 << 20)},
		{Name: prefix + "rss_growth_mb", Value: float64(l.rss-l.rssBefore) / (1 << 20)},
	}
}

func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return float64(all[int(q*float64(len(all)-1))]) / float64(time.Millisecond)
}

// one starts a server, measures its capacity and loads it.
func one(dir, program string, times float64, admission bool) (l load, err error) {
	s, err := start(dir, program, admission)
	if err != nil {
		return load{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.prepare(); err != nil {
		return load{}, err
	}
	capacity, err := s.capacity()
	if err != nil {
		return load{}, err
	}
	before, err := s.rss()
	if err != nil {
		return load{}, err
	}
	l = s.open(capacity*times, admission)
	if l.failed != nil {
		return load{}, fmt.Errorf("at %gx: %w", times, l.failed)
	}
	l.capacity, l.rssBefore = capacity, before
	l.rss, err = s.rss()
	return l, err
}
