// Package pressure loads a settlement process with more than it can book, by an
// open loop, and measures what comes of it.
//
//	pressure.go   the comparison and what it reports
//	apart_*.go    who runs on which processor
//	capacity.go   callers in a closed loop
//	load.go       callers in an open loop
//	transfers.go  what they send
//	probe.go      calls that are answered at once
//	wire.go       how they send it: Kitex's frames by a client that can do no more
//	server.go     the process under test; process.go is what it and others use
//	histogram.go  what it says of its own calls
//
// The peer is the same server with --settlement.admission=false: a plain queue
// of 1024 calls before each ledger, without deadlines. Both are real processes
// on SQLite with fsync on, called by Kitex; a call books transferBatch transfers, so
// that the ledger is what is short, and not the processor time of callers.
//
// Callers stand for other machines: they have one processor, go before the server
// there where that is allowed, and leave it all others. Their calls are encoded before
// a loop begins, and answers are decoded and checked when it has ended. At three times
// the capacity they take several times the processor time all the same that they take
// in closed loops, which the server lacks: how much that is, and how late they send,
// is reported. A server that is kept off that processor has one of two here, with which
// Go sees to connections so rarely that twice as many calls are late.
//
// Callers know of each other what was refused, and hold back what would be, as the
// house's clients do (kit/throttle): at three times the load most refusals are
// theirs. Stubborn ones, who send whatever comes, are measured at the largest load.
//
// The capacity is what that number of callers in closed loops gets done in time
// that gets most done. The number is chosen by short loops, which then count for
// nothing: the best of several had luck. Closed and open loops make the same calls
// with the same deadlines and take turns, so that what else the machine does
// befalls both; each lasts long enough for what the ledger does now and then, such
// as sorting its moves, to come to it in all of its turns.
//
// A call is late where its answer comes later than 80 ms after it was due to be
// sent, or where it is given up after it was let wait. A refusal's time is from
// when it was to be sent until its caller has the error: what the server takes of it,
// from when its header was read, is reported beside it, and so is what a call takes
// that the server answers at once at any load (round_trip): admission cannot answer
// sooner than that.
package pressure

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// Benches are the comparisons of this package.
var Benches = []measure.Bench{{Name: "money/pressure", Run: run}}

const (
	patience      = 80 * time.Millisecond
	transit       = 8 * time.Millisecond // the P99 of round_trip here: what the server is told that calls take on their ways
	transferBatch = 64
	accounts      = 10_000
	turns         = 5
	trial         = 1500 * time.Millisecond // each closed loop that chooses how many callers
	closedFor     = 3 * time.Second         // each closed one that counts
	openFor       = 3500 * time.Millisecond // each open one; the first half second does not count
	warm          = 500 * time.Millisecond
	backOff       = 10 * time.Millisecond // of who is refused in a closed loop
)

var (
	callers = []int{4, 8, 16, 32}
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
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // callers have little to do, and spare the server what they would look for it
	at, err := apart()
	if err != nil {
		return err
	}
	defer at.together()
	for _, times := range loads {
		if err := compare(r, at, dir, program, times); err != nil {
			return err
		}
	}
	return nil
}

// compare measures one load, the largest with stubborn callers, too.
func compare(r *measure.Report, at *sides, dir, program string, times float64) error {
	ours, err := one(at, dir, program, times, throttled)
	if err != nil {
		return err
	}
	peer, err := one(at, dir, program, times, plainQueue)
	if err != nil {
		return err
	}
	var unheard []measure.Extra
	if times == slices.Max(loads) {
		l, err := one(at, dir, program, times, stubborn)
		if err != nil {
			return err
		}
		unheard = append(l.extra("stubborn_"), measure.Extra{Name: "stubborn_goodput", Value: l.goodput()})
	}
	return r.Print(measure.Line{
		Bench: "money/pressure", Unit: "goodput_of_capacity", Higher: true,
		Ours: ours.goodput(), Peer: "fixed queue of 1024 (--settlement.admission=false)", PeerValue: peer.goodput(),
		Extra: slices.Concat(
			[]measure.Extra{
				{Name: "load", Value: times},
				{Name: "capacity_transfers_per_s", Value: ours.capacity() * transferBatch},
			},
			ours.extra(""), peer.extra("peer_"), unheard,
		),
	})
}

// extra is what else is worth knowing of a load.
func (l *load) extra(prefix string) []measure.Extra {
	all := []measure.Extra{
		{Name: "late_percent", Value: 100 * float64(l.accepted-l.inTime) / float64(max(l.accepted, 1))},
		{Name: "given_up_percent", Value: 100 * float64(l.given) / float64(max(l.accepted, 1))},
		{Name: "refused_percent", Value: 100 * float64(l.refused) / float64(max(l.refused+l.accepted, 1))},
		{Name: "held_percent", Value: 100 * float64(l.held) / float64(max(l.refused+l.accepted, 1))},
		{Name: "refusal_ms_p50", Value: quantile(l.refusals, 0.5)},
		{Name: "refusal_ms_p99", Value: quantile(l.refusals, 0.99)},
		{Name: "refusal_sent_ms_p50", Value: quantile(l.sentAway, 0.5)},
		{Name: "refusal_sent_ms_p99", Value: quantile(l.sentAway, 0.99)},
		{Name: "refusal_at_server_ms_p99", Value: l.atServer.without(l.overdue).quantile(0.99)},
		{Name: "round_trip_ms_p50", Value: quantile(l.trips, 0.5)},
		{Name: "round_trip_ms_p99", Value: quantile(l.trips, 0.99)},
		{Name: "accepted_ms_p50", Value: quantile(l.answers, 0.5)},
		{Name: "accepted_ms_p99", Value: quantile(l.answers, 0.99)},
		{Name: "batch_ms_p50", Value: l.batches.quantile(0.5)},
		{Name: "batch_ms_p99", Value: l.batches.quantile(0.99)},
		{Name: "outbox_lag_s", Value: l.outboxLag},
		{Name: "sent_late_ms_p50", Value: quantile(l.delays, 0.5)},
		{Name: "sent_late_ms_p99", Value: quantile(l.delays, 0.99)},
		{Name: "server_cpu_percent", Value: 100 * l.use.server},
		{Name: "callers_cpu_percent", Value: 100 * l.use.callers},
		{Name: "others_cpu_percent", Value: 100 * l.use.others},
		{Name: "rss_mb", Value: float64(l.rss) / (1 << 20)},
		{Name: "rss_growth_mb", Value: float64(l.rss-l.rssBefore) / (1 << 20)},
	}
	for i := range all {
		all[i].Name = prefix + all[i].Name
	}
	return all
}

func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return float64(all[int(q*float64(len(all)-1))]) / float64(time.Millisecond)
}

// one starts a server and has closed and open loops take turns.
func one(at *sides, dir, program string, times float64, how mode) (l *load, err error) {
	s, err := start(at, dir, program, how)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.prepare(); err != nil {
		return nil, err
	}
	n, err := s.calibrate()
	if err != nil {
		return nil, err
	}
	rate, err := s.closed(n, closedFor)
	if err != nil {
		return nil, err
	}
	l = &load{rates: []float64{rate}}
	if l.rssBefore, err = s.rss(); err != nil {
		return nil, err
	}
	for range turns {
		if err := s.open(l, rate*times); err != nil {
			return nil, fmt.Errorf("at %gx: %w", times, err)
		}
		if rate, err = s.closed(n, closedFor); err != nil {
			return nil, err
		}
		l.rates = append(l.rates, rate)
	}
	l.rss, err = s.rss()
	return l, err
}
