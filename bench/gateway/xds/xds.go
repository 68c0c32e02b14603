// Package xds measures how long a change takes from the control plane until it
// is in force at all of its subscribers, beside go-control-plane's snapshot
// cache and server.
//
//	xds.go         the comparison and what it reports
//	resource.go    the configuration: 100 clusters of 10 endpoints, 100 routes
//	plane.go       the control planes: package ads, and go-control-plane
//	subscriber.go  one subscriber, the same for both
//
// Both control planes and all subscribers run in this process, each subscriber
// by grpc-go over a connection of its own. A change is of one cluster's
// endpoints. In force means: received, decoded, validated, swapped; then it is
// acknowledged.
package xds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// Benches are the comparisons of this package.
var Benches = []measure.Bench{{Name: "gateway/xds", Run: run}}

// changes are made in each comparison, after the first two: fewer where each
// takes a second.
func changes(n int) int {
	if n >= 1000 {
		return 9
	}
	return 21
}

var crowds = []int{1, 100, 1000}

func run(r *measure.Report) error {
	for _, delta := range []bool{true, false} {
		for _, n := range crowds {
			if err := compare(r, delta, n); err != nil {
				return fmt.Errorf("%d subscribers: %w", n, err)
			}
		}
	}
	return nil
}

func compare(r *measure.Report, delta bool, n int) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var crowds []*crowd
	defer func() {
		for _, c := range crowds {
			err = errors.Join(err, c.close())
		}
	}()
	for _, start := range []func() (plane, error){newOurs, newPeer} {
		p, err := start()
		if err != nil {
			return err
		}
		c, err := gather(ctx, p, delta, n)
		if c != nil {
			crowds = append(crowds, c)
		}
		if err != nil {
			return err
		}
	}
	rounds := changes(n)
	for round := range rounds + 2 { // in turns
		for _, c := range crowds {
			if err := c.change(ctx, round+1, round >= 2); err != nil {
				return err
			}
		}
	}
	name := "state"
	if delta {
		name = "delta"
	}
	ours, peer := crowds[0], crowds[1]
	return r.Print(measure.Line{
		Bench: fmt.Sprintf("gateway/xds/%s/%d", name, n), Unit: "ms p99 from change to in force",
		Ours: percentile(ours.times, 99), Peer: "go-control-plane v0.14.0", PeerValue: percentile(peer.times, 99),
		Extra: []measure.Extra{
			{Name: "ours_p50", Value: percentile(ours.times, 50)},
			{Name: "peer_p50", Value: percentile(peer.times, 50)},
			{Name: "ours_last", Value: milliseconds(slices.Max(ours.times))},
			{Name: "peer_last", Value: milliseconds(slices.Max(peer.times))},
			{Name: "ours_cpu_ms", Value: milliseconds(ours.cpu / time.Duration(rounds))},
			{Name: "peer_cpu_ms", Value: milliseconds(peer.cpu / time.Duration(rounds))},
			{Name: "changes", Value: rounds},
		},
	})
}

func percentile(times []time.Duration, p int) float64 {
	slices.Sort(times)
	return milliseconds(times[(len(times)-1)*p/100])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
