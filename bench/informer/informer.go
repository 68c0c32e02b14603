// Package informer compares kit/informer with client-go: 5,000 Pods of 4 KB
// from a fake API server that is a process of its own, in protobuf.
//
//	informer.go  the comparisons
//	run.go       one client with a server of its own
//	pods         the Pods
//	fakeapi, api the server, and the program of it
//	client       the program that is measured, one way at a time
//	view         the field mask, and the projection
package informer

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// Benches are the comparisons of this package.
var Benches = []measure.Bench{
	{Name: "informer/sync", Run: synced},
	{Name: "informer/event", Run: events},
}

const (
	peer       = "client-go"
	peerName   = "client-go v0.37.2"
	syncRounds = 5
	rounds     = 3
	pods       = 5000
	changes    = 3000
	slow       = 1000 // changes a second
	quick      = 10_000_000
	floor      = "read-only"
)

// The ways that are compared, the peer first.
var (
	syncWays  = []string{peer, "typed", "mask", "projection", "projection-paged"}
	eventWays = []string{peer, floor, "typed", "mask", "mask-inline", "projection", "projection-inline"}
)

// synced compares what it takes until all Pods are held and the handler told.
func synced(report *measure.Report) error {
	best, err := compare(syncWays, syncRounds, 1, slow)
	if err != nil {
		return err
	}
	const million = 1e6
	theirs := best[peer].sync
	for _, way := range syncWays[1:] {
		ours := best[way].sync
		if err := report.Print(measure.Line{
			Bench: "informer/sync-" + way, Unit: "MB allocated", Peer: peerName,
			Ours: float64(ours.Allocated) / million, PeerValue: float64(theirs.Allocated) / million,
			Extra: []measure.Extra{
				{Name: "percent_of_peer", Value: 100 * float64(ours.Allocated) / float64(theirs.Allocated)},
				{Name: "live_mb", Value: float64(ours.Live) / million},
				{Name: "peer_live_mb", Value: float64(theirs.Live) / million},
				{Name: "cpu_ms", Value: milliseconds(ours.CPU)},
				{Name: "peer_cpu_ms", Value: milliseconds(theirs.CPU)},
				{Name: "wall_ms", Value: milliseconds(ours.Wall)},
				{Name: "peer_wall_ms", Value: milliseconds(theirs.Wall)},
			},
		}); err != nil {
			return err
		}
	}
	return nil
}

// events compares what a change takes, as quick as the server writes them and
// at 1,000 a second, and when the handler is told.
func events(report *measure.Report) error {
	burst, err := compare(eventWays, rounds, changes, quick)
	if err != nil {
		return err
	}
	steady, err := compare(eventWays, rounds, changes, slow)
	if err != nil {
		return err
	}
	for _, way := range eventWays[2:] {
		for _, line := range lines(way, burst, steady) {
			line.Peer = peerName
			line.Extra = append([]measure.Extra{{Name: "percent_of_peer", Value: 100 * line.Ours / line.PeerValue}}, line.Extra...)
			if err := report.Print(line); err != nil {
				return err
			}
		}
	}
	return nil
}

func lines(way string, burst, steady map[string]figures) []measure.Line {
	return []measure.Line{
		{Bench: "informer/event-" + way, Unit: "us of CPU/event", Ours: micro(burst[way].cpu), PeerValue: micro(burst[peer].cpu), Extra: []measure.Extra{
			{Name: "bytes_allocated", Value: float64(burst[way].allocated)},
			{Name: "peer_bytes_allocated", Value: float64(burst[peer].allocated)},
			{Name: "p95_ms", Value: milliseconds(burst[way].p95)},
			{Name: "peer_p95_ms", Value: milliseconds(burst[peer].p95)},
		}},
		{Bench: "informer/steady-" + way, Unit: "us of CPU/event", Ours: micro(steady[way].cpu), PeerValue: micro(steady[peer].cpu), Extra: []measure.Extra{
			{Name: "read_only", Value: micro(steady[floor].cpu)},
			{Name: "percent_of_peer_beyond_reading", Value: 100 * float64(steady[way].cpu-steady[floor].cpu) / float64(steady[peer].cpu-steady[floor].cpu)},
		}},
		{Bench: "informer/latency-" + way, Unit: "us, P95", Ours: micro(steady[way].p95), PeerValue: micro(steady[peer].p95), Extra: []measure.Extra{
			{Name: "read_only", Value: micro(steady[floor].p95)},
			{Name: "p50", Value: micro(steady[way].p50)},
			{Name: "peer_p50", Value: micro(steady[peer].p50)},
			{Name: "p99", Value: micro(steady[way].p99)},
			{Name: "peer_p99", Value: micro(steady[peer].p99)},
		}},
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// compare runs all ways in turns and keeps the best of each figure.
func compare(ways []string, rounds, changes, perSecond int) (map[string]figures, error) {
	dir, err := os.MkdirTemp("", "bench-informer-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		return nil, err
	}
	best := make(map[string]figures)
	for range rounds {
		for _, way := range ways {
			got, err := run(dir, way, changes, perSecond)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way, err)
			}
			if known, found := best[way]; found {
				got = got.best(known)
			}
			best[way] = got
		}
	}
	return best, nil
}

// percentile sorts what it is given.
func percentile(all []time.Duration, share float64) time.Duration {
	slices.Sort(all)
	return all[int(share*float64(len(all)-1))]
}
