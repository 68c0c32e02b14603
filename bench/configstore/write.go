//go:build linux

package configstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

const (
	rounds = 3
	turn   = 1500 * time.Millisecond
)

// write has clients write one object after the other: ours as a release each.
func write(report *measure.Report) (err error) {
	r, err := newRig("cmd/configstore")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for _, n := range []int{1, 3} {
		if err := writeTo(report, r, n); err != nil {
			return fmt.Errorf("%d members: %w", n, err)
		}
	}
	return nil
}

func writeTo(report *measure.Report, r *rig, n int) (err error) {
	ours, err := startMembers(r, n)
	if err != nil {
		return fmt.Errorf("configstore: %w", err)
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	peer, err := startEtcds(r, n)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer func() { err = errors.Join(err, peer.close()) }()
	for _, clients := range []int{64, 256} {
		kitex := &contender{servers: ours.servers, op: apply(ours.client(true, clients))}
		connect := &contender{servers: ours.servers, op: apply(ours.client(false, clients))}
		etcd := &contender{servers: peer.servers, op: peer.put}
		for range rounds {
			for _, c := range []*contender{kitex, connect, etcd} {
				if err := c.load(clients, turn); err != nil {
					return err
				}
			}
		}
		if err := report.Print(measure.Line{
			Bench: fmt.Sprintf("configstore/write/%dx%d", n, clients), Unit: "writes/s", Higher: true,
			Ours: kitex.best.perSecond, Peer: peerName, PeerValue: etcd.best.perSecond,
			Extra: []measure.Extra{
				{Name: "cpu_us", Value: microseconds(kitex.best.cpu)},
				{Name: "peer_cpu_us", Value: microseconds(etcd.best.cpu)},
				{Name: "cpu_ratio", Value: float64(etcd.best.cpu) / float64(kitex.best.cpu)},
				{Name: "p50_ms", Value: milliseconds(kitex.best.p50)},
				{Name: "peer_p50_ms", Value: milliseconds(etcd.best.p50)},
				{Name: "p99_ms", Value: milliseconds(kitex.best.p99)},
				{Name: "peer_p99_ms", Value: milliseconds(etcd.best.p99)},
				{Name: "connect", Value: connect.best.perSecond},
				{Name: "connect_cpu_us", Value: microseconds(connect.best.cpu)},
			},
		}); err != nil {
			return err
		}
	}
	return nil
}

// together is how many objects configstore/release writes at once.
const together = 100

// release writes 100 objects at once, beside 100 puts by one client: one after
// the other, and all at the same time.
func release(report *measure.Report) (err error) {
	r, err := newRig("cmd/configstore")
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

	one := &contender{servers: ours.servers, op: applyMany(ours.client(true, 1))}
	sequence := &contender{servers: peer.servers, op: func(ctx context.Context, _, n int) error {
		for i := range together {
			if err := peer.put(ctx, 0, n*together+i); err != nil {
				return err
			}
		}
		return nil
	}}
	crowd := &contender{servers: peer.servers, op: peer.putAll}
	for range rounds {
		for _, c := range []*contender{one, sequence, crowd} {
			if err := c.load(1, turn); err != nil {
				return err
			}
		}
	}
	return report.Print(measure.Line{
		Bench: "configstore/release", Unit: "ms for 100 objects (p50)",
		Ours: milliseconds(one.best.p50), Peer: peerName, PeerValue: milliseconds(sequence.best.p50),
		Extra: []measure.Extra{
			{Name: "peer_at_once_ms", Value: milliseconds(crowd.best.p50)},
			{Name: "cpu_ms", Value: milliseconds(one.best.cpu)},
			{Name: "peer_cpu_ms", Value: milliseconds(sequence.best.cpu)},
			{Name: "peer_at_once_cpu_ms", Value: milliseconds(crowd.best.cpu)},
			{Name: "cpu_ratio", Value: float64(min(sequence.best.cpu, crowd.best.cpu)) / float64(one.best.cpu)},
		},
	})
}

func applyMany(client configstorev1.ConfigServiceServer) func(ctx context.Context, client, n int) error {
	return func(ctx context.Context, _, _ int) error {
		request := &configstorev1.ApplyRequest{Reason: "benchmark", Changes: make([]*configstorev1.Change, together)}
		version := int(versions.Add(1))
		for i := range together {
			var err error
			if request.Changes[i], err = put(objectName(0, i), version); err != nil {
				return err
			}
		}
		answer, err := client.Apply(ctx, request)
		if err == nil && len(answer.GetRelease().GetKeys()) != together {
			err = errors.New("not all was written")
		}
		return err
	}
}

func (e *etcds) putAll(ctx context.Context, _, n int) error {
	faults := make([]error, together)
	var work sync.WaitGroup
	for i := range together {
		work.Go(func() { faults[i] = e.put(ctx, i, n) })
	}
	work.Wait()
	return errors.Join(faults...)
}
