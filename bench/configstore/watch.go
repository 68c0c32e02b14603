//go:build linux

package configstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// crowds are numbers of subscribers, which share 50 connections.
var crowds = []int{100, 1000, 5000}

const (
	streamConns = 50
	changes     = 31 // the first does not count; with ten the p95 would be that of one
	watchRounds = 3
)

// watch makes changes and sees when each subscriber has each.
func watch(report *measure.Report) (err error) {
	r, err := newRig("cmd/configstore", "internal/fanout")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	ours, err := startMembers(r, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	peer, err := startEtcds(r, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, peer.close()) }()
	for _, n := range crowds {
		if err := watchBy(report, r, ours, peer, n); err != nil {
			return fmt.Errorf("%d subscribers: %w", n, err)
		}
	}
	return nil
}

func watchBy(report *measure.Report, r *rig, ours *members, peer *etcds, n int) error {
	write, put := apply(ours.client(true, 1)), peer.put
	sides := []struct {
		name  string
		open  func() (following, error)
		write func(ctx context.Context, client, n int) error
	}{
		{"configstore", ours.streams, write},
		{"etcd", peer.streams, put},
		{"configstore, shared", ours.shared, write},
		{"etcd, clientv3", peer.shared, put},
	}
	times := make([]percentiles, len(sides))
	var inside percentiles
	for round := range watchRounds {
		for i, side := range sides {
			p, err := timed(n, side.open, func(ctx context.Context) error { return side.write(ctx, 0, 0) })
			if err != nil {
				return fmt.Errorf("%s: %w", side.name, err)
			}
			times[i].keep(p)
		}
		p, err := inProcess(r, n, round)
		if err != nil {
			return err
		}
		inside.keep(p)
	}
	const unit = "ms p95 from before the write until received"
	streams, peerStreams, shared, peerClients := times[0], times[1], times[2], times[3]
	return errors.Join(
		report.Print(measure.Line{
			Bench: fmt.Sprintf("configstore/watch/%d", n), Unit: unit, Ours: shared.p95, Peer: peerName + " by clientv3", PeerValue: peerClients.p95,
			Extra: []measure.Extra{
				{Name: "p50", Value: shared.p50}, {Name: "peer_p50", Value: peerClients.p50},
			},
		}),
		report.Print(measure.Line{
			Bench: fmt.Sprintf("configstore/watch-streams/%d", n), Unit: unit, Ours: streams.p95, Peer: peerName, PeerValue: peerStreams.p95,
			Extra: []measure.Extra{
				{Name: "p50", Value: streams.p50}, {Name: "peer_p50", Value: peerStreams.p50},
			},
		}),
		report.Print(measure.Line{
			Bench: fmt.Sprintf("configstore/watch-inside/%d", n), Unit: unit, Ours: inside.p95, Peer: peerName, PeerValue: peerStreams.p95,
			Extra: []measure.Extra{
				{Name: "p50", Value: inside.p50}, {Name: "to_clientv3", Value: peerClients.p95 / inside.p95},
			},
		}),
	)
}

// percentiles are milliseconds.
type percentiles struct{ p50, p95 float64 }

// keep leaves the better of each: noise only adds.
func (p *percentiles) keep(other percentiles) {
	if p.p95 == 0 {
		*p = other
	}
	p.p50, p.p95 = min(p.p50, other.p50), min(p.p95, other.p95)
}

// timed gathers a crowd, makes changes, and says when they were received.
func timed(n int, open func() (following, error), write func(ctx context.Context) error) (p percentiles, err error) {
	all, err := open()
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, all.close()) }()
	c, err := gather(n, all.follow)
	if err != nil {
		return p, err
	}
	defer c.close()
	if err := c.change(write); err != nil {
		return p, err
	}
	return percentiles{c.percentile(50), c.percentile(95)}, nil
}

// inProcess has the program fanout measure.
func inProcess(r *rig, n, round int) (percentiles, error) {
	dir := filepath.Join(r.dir, fmt.Sprintf("fanout-%d-%d", n, round))
	cmd := exec.CommandContext(context.Background(), filepath.Join(r.dir, "fanout"), strconv.Itoa(n), strconv.Itoa(changes), dir)
	out, err := cmd.Output()
	if err != nil {
		return percentiles{}, fmt.Errorf("fanout: %w", err)
	}
	var told struct{ P50, P95 float64 }
	err = json.Unmarshal(out, &told)
	return percentiles{told.P50, told.P95}, err
}

// following is subscribers of one server on streamConns connections.
type following struct {
	// follow is subscriber i until ctx ends. It tells when it stands, and of
	// each change.
	follow func(ctx context.Context, i int, stands, got func()) error
	close  func() error
}

// crowd is subscribers that follow one server.
type crowd struct {
	cancel context.CancelFunc
	work   sync.WaitGroup
	at     []time.Time // when each had the change; by subscriber
	left   atomic.Int64
	all    chan struct{}
	failed atomic.Pointer[error]
	times  []time.Duration
}

// gather has n subscribers stand.
func gather(n int, follow func(ctx context.Context, i int, stands, got func()) error) (*crowd, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{cancel: cancel, at: make([]time.Time, n), all: make(chan struct{}, 1)}
	standing := make(chan struct{}, n)
	for i := range n {
		c.work.Go(func() {
			ctx, cancel := context.WithCancel(ctx) // as each has its own
			defer cancel()
			first := true
			err := follow(ctx, i, func() {
				if first {
					standing <- struct{}{}
				}
				first = false
			}, func() {
				c.at[i] = time.Now()
				if c.left.Add(-1) == 0 {
					c.all <- struct{}{}
				}
			})
			if ctx.Err() == nil {
				c.failed.CompareAndSwap(nil, &err)
			}
		})
	}
	for limit := time.After(60 * time.Second); n > 0; n-- {
		select {
		case <-standing:
		case <-limit:
			err := c.failed.Load()
			c.close()
			if err != nil {
				return nil, *err
			}
			return nil, fmt.Errorf("%d subscribers do not stand after a minute", n)
		}
	}
	return c, nil
}

func (c *crowd) close() {
	c.cancel()
	c.work.Wait()
}

// change makes changes one after the other and waits until all have each.
func (c *crowd) change(write func(ctx context.Context) error) error {
	for round := range changes {
		c.left.Store(int64(len(c.at)))
		began := time.Now()
		if err := write(context.Background()); err != nil {
			return err
		}
		select {
		case <-c.all:
		case <-time.After(20 * time.Second):
			if err := c.failed.Load(); err != nil {
				return *err
			}
			return fmt.Errorf("%d of %d do not have change %d", c.left.Load(), len(c.at), round)
		}
		for _, at := range c.at {
			if round > 0 {
				c.times = append(c.times, at.Sub(began))
			}
		}
	}
	slices.Sort(c.times)
	return nil
}

func (c *crowd) percentile(p int) float64 { return milliseconds(c.times[(len(c.times)-1)*p/100]) }
