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

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/backlot-video/backlot/bench/internal/measure"
	"github.com/backlot-video/backlot/kit/identity"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// crowds are numbers of subscribers, which share 50 connections.
var crowds = []int{100, 1000, 5000}

const (
	streamConns = 50
	changes     = 11 // the first does not count
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
	a, err := gather(ours.endpoints[0].Address, n, ours.follow)
	if err != nil {
		return fmt.Errorf("configstore: %w", err)
	}
	defer a.close()
	write := apply(ours.client(true, 1))
	if err := a.change(func(ctx context.Context) error { return write(ctx, 0, 0) }); err != nil {
		return fmt.Errorf("configstore: %w", err)
	}
	a.close()
	b, err := gather(peer.urls[0][len("http://"):], n, follow)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer b.close()
	if err := b.change(func(ctx context.Context) error { return peer.put(ctx, 0, 0) }); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	inside, err := inProcess(r, n)
	if err != nil {
		return err
	}
	mine, other := a.percentile(95), b.percentile(95)
	return report.Print(measure.Line{
		Bench: fmt.Sprintf("configstore/watch/%d", n), Unit: "ms p95 from before the write until received", Ours: mine, Peer: peerName, PeerValue: other,
		Extra: []measure.Extra{
			{Name: "p50", Value: a.percentile(50)},
			{Name: "peer_p50", Value: b.percentile(50)},
			{Name: "in_process_p50", Value: inside.P50},
			{Name: "in_process_p95", Value: inside.P95},
			{Name: "in_process_ratio", Value: other / inside.P95},
		},
	})
}

// inside is what the program fanout tells, in milliseconds.
type inside struct{ P50, P95 float64 }

func inProcess(r *rig, n int) (i inside, err error) {
	cmd := exec.CommandContext(context.Background(), filepath.Join(r.dir, "fanout"), strconv.Itoa(n), strconv.Itoa(changes), filepath.Join(r.dir, fmt.Sprintf("fanout-%d", n)))
	out, err := cmd.Output()
	if err != nil {
		return i, fmt.Errorf("fanout: %w", err)
	}
	return i, json.Unmarshal(out, &i)
}

// crowd is streams that follow one server.
type crowd struct {
	conns    []*grpc.ClientConn
	cancel   context.CancelFunc
	work     sync.WaitGroup
	received chan time.Time
	failed   atomic.Pointer[error]
	n        int
	times    []time.Duration
}

// gather opens streams. follow tells when one stands, and of each change.
func gather(address string, n int, follow func(ctx context.Context, conn *grpc.ClientConn, stands func(), got func()) error) (*crowd, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{cancel: cancel, received: make(chan time.Time, n), n: n}
	for range streamConns {
		conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			c.close()
			return nil, err
		}
		c.conns = append(c.conns, conn)
	}
	standing := make(chan struct{}, n)
	for i := range n {
		c.work.Go(func() {
			err := follow(ctx, c.conns[i%streamConns], func() { standing <- struct{}{} }, func() { c.received <- time.Now() })
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
			return nil, fmt.Errorf("%d streams do not stand after a minute", n)
		}
	}
	return c, nil
}

func (c *crowd) close() {
	c.cancel()
	c.work.Wait()
	for _, conn := range c.conns {
		_ = conn.Close() // nothing is on it
	}
	c.conns = nil
}

// change makes changes one after the other and waits until all have each.
func (c *crowd) change(write func(ctx context.Context) error) error {
	for round := range changes {
		began := time.Now()
		if err := write(context.Background()); err != nil {
			return err
		}
		limit := time.After(20 * time.Second)
		for got := range c.n {
			select {
			case at := <-c.received:
				if round > 0 {
					c.times = append(c.times, at.Sub(began))
				}
			case <-limit:
				if err := c.failed.Load(); err != nil {
					return *err
				}
				return fmt.Errorf("only %d of %d have change %d", got, c.n, round)
			}
		}
	}
	slices.Sort(c.times)
	return nil
}

func (c *crowd) percentile(p int) float64 { return milliseconds(c.times[(len(c.times)-1)*p/100]) }

// follow is a watch of etcd on a stream of its own.
func follow(ctx context.Context, conn *grpc.ClientConn, stands, got func()) error {
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return err
	}
	prefix := []byte(key(""))
	end := append(slices.Clone(prefix[:len(prefix)-1]), prefix[len(prefix)-1]+1)
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: prefix, RangeEnd: end}}})
	if err != nil {
		return err
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		if response.GetCreated() {
			stands()
		}
		for range response.GetEvents() {
			got()
		}
	}
}

// follow is a watch of the configstore by gRPC.
func (m *members) follow(ctx context.Context, conn *grpc.ClientConn, stands, got func()) error {
	token, err := m.keys.Sign(identity.Principal{Kind: identity.Service, ID: "bench", TenantID: identity.DefaultTenant})
	if err != nil {
		return err
	}
	list := new(configstorev1.ListResponse)
	ctx = metadata.AppendToOutgoingContext(ctx, identity.Header, token)
	if err := conn.Invoke(ctx, "/backlot.configstore.v1.ConfigService/List", &configstorev1.ListRequest{Kind: "Ladder"}, list); err != nil {
		return err
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/backlot.configstore.v1.ConfigService/Watch")
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(&configstorev1.WatchRequest{Kind: kind, FromRevision: list.GetRevision()}), stream.CloseSend()); err != nil {
		return err
	}
	for first := true; ; first = false {
		response := new(configstorev1.WatchResponse)
		if err := stream.RecvMsg(response); err != nil {
			return err
		}
		if first {
			stands()
		}
		for range response.GetEvents() {
			got()
		}
	}
}
