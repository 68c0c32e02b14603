//go:build linux

package configstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/informer"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

const readers = 64

// read reads one of a hundred objects by each of 64 clients, and from an
// informer by one.
func read(report *measure.Report) (err error) {
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
	client := ours.client(true, readers)
	for n := range 100 {
		if err := errors.Join(apply(client)(context.Background(), 0, n), peer.put(context.Background(), 0, n)); err != nil {
			return err
		}
	}
	mine := &contender{servers: ours.servers, op: get(client)}
	alone := &contender{servers: ours.servers, op: get(ours.plain(readers))}
	etcd := &contender{servers: peer.servers, op: func(ctx context.Context, client, n int) error {
		answer, err := peer.client(client).Get(ctx, key(objectName(0, n)))
		if err == nil && len(answer.Kvs) != 1 {
			err = errors.New("there is no such key")
		}
		return err
	}}
	for range rounds {
		for _, c := range []*contender{mine, etcd, alone} {
			if err := c.load(readers, turn); err != nil {
				return err
			}
		}
	}
	return reportRead(report, r, ours, mine.best, alone.best, etcd.best)
}

func get(client configstorev1.ConfigServiceServer) func(ctx context.Context, client, n int) error {
	return func(ctx context.Context, _, n int) error {
		_, err := client.Get(ctx, &configstorev1.GetRequest{Key: &configstorev1.Key{Kind: kind, Name: objectName(0, n)}})
		return err
	}
}

func reportRead(report *measure.Report, r *rig, ours *members, mine, alone, etcd sample) error {
	out, err := exec.CommandContext(context.Background(), filepath.Join(r.dir, "fanout"), "-reads", filepath.Join(r.dir, "reads")).Output()
	if err != nil {
		return fmt.Errorf("fanout: %w", err)
	}
	var inside struct{ CPU float64 } // us of a linearizable read
	if err := json.Unmarshal(out, &inside); err != nil {
		return err
	}
	local, err := informed(ours)
	if err != nil {
		return err
	}
	return report.Print(measure.Line{
		Bench: "configstore/read", Unit: "us of CPU a linearizable read", Ours: microseconds(mine.cpu), Peer: peerName, PeerValue: microseconds(etcd.cpu),
		Extra: []measure.Extra{
			{Name: "per_second", Value: mine.perSecond},
			{Name: "peer_per_second", Value: etcd.perSecond},
			{Name: "p50_ms", Value: milliseconds(mine.p50)},
			{Name: "peer_p50_ms", Value: milliseconds(etcd.p50)},
			{Name: "alone_us", Value: microseconds(alone.cpu)},
			{Name: "alone_ratio", Value: float64(etcd.cpu) / float64(alone.cpu)},
			{Name: "in_process_us", Value: inside.CPU},
			{Name: "in_process_ratio", Value: microseconds(etcd.cpu) / inside.CPU},
			{Name: "informer_ns", Value: float64(local)},
			{Name: "informer_ratio", Value: float64(etcd.cpu) / float64(local)},
		},
	})
}

// bearer adds a principal to requests.
type bearer struct {
	keys *identity.Keys
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	token, err := b.keys.Sign(identity.Principal{Kind: identity.Service, ID: "bench", TenantID: identity.DefaultTenant})
	if err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	request.Header.Set(identity.Header, token)
	return b.next.RoundTrip(request)
}

// informed is the CPU time of a read from an informer.
func informed(ours *members) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	source := informer.NewRemote(&http.Client{Transport: bearer{ours.keys, http.DefaultTransport}}, "http://"+ours.endpoints[0].Address)
	i := informer.New[*rulesv1.RateTable](source, kind, informer.Config{})
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- i.Run(running) }()
	defer func() { stop(); <-ended }()
	if err := i.WaitSynced(ctx); err != nil {
		return 0, err
	}
	const reads = 1_000_000
	names := make([]string, 100)
	for n := range names {
		names[n] = objectName(0, n)
	}
	began := measure.CPU()
	for n := range reads {
		if _, found := i.Get("default", names[n%len(names)]); !found {
			return 0, fmt.Errorf("the informer lacks %s", names[n%len(names)])
		}
	}
	return (measure.CPU() - began) / reads, nil
}
