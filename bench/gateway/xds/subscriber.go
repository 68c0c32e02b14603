package xds

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/bench/internal/measure"
	"github.com/backlot-video/backlot/services/configstore/ads"
)

// crowd is the subscribers of one control plane.
type crowd struct {
	plane   plane
	n       int
	cancel  context.CancelFunc
	work    sync.WaitGroup
	conns   []*grpc.ClientConn
	inForce chan arrival
	failed  chan error
	times   []time.Duration
	cpu     time.Duration
}

// arrival is that a subscriber has put a change in force.
type arrival struct {
	change int
	at     time.Time
}

// batch is how many subscribers connect at once.
const batch = 50

// gather connects subscribers and waits until each has the whole.
func gather(ctx context.Context, p plane, delta bool, n int) (*crowd, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &crowd{plane: p, n: n, cancel: cancel, inForce: make(chan arrival, 2*n), failed: make(chan error, n)}
	for i := range n {
		conn, err := grpc.NewClient(p.address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return c, err
		}
		c.conns = append(c.conns, conn)
		s := &subscriber{crowd: c, node: &corev3.Node{Id: fmt.Sprintf("node-%d", i)}}
		c.work.Go(func() {
			follow := s.state
			if delta {
				follow = s.delta
			}
			if err := follow(ctx, discoveryv3.NewAggregatedDiscoveryServiceClient(conn)); ctx.Err() == nil {
				c.failed <- fmt.Errorf("subscriber %d: %w", i, err)
			}
		})
		if last := i == n-1; last || i%batch == batch-1 {
			if err := c.await(ctx, i%batch+1, 0, func(time.Time) {}); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

// change publishes, waits until it is in force everywhere, and then for the
// end of the work that goes on after it: answers to the control plane are part
// of the CPU of a change, and must not delay the next one, of the other plane.
func (c *crowd) change(ctx context.Context, number int, counts bool) error {
	begin, cpu := time.Now(), measure.CPU()
	if err := c.plane.publish(number); err != nil {
		return err
	}
	err := c.await(ctx, c.n, number, func(at time.Time) {
		if counts {
			c.times = append(c.times, at.Sub(begin))
		}
	})
	settle(ctx)
	if counts {
		c.cpu += measure.CPU() - cpu
	}
	return err
}

// settle waits until the process does next to nothing.
func settle(ctx context.Context) {
	const look = 10 * time.Millisecond
	for ctx.Err() == nil {
		before := measure.CPU()
		time.Sleep(look) //nolint:forbidigo // the time over which it is looked at
		if measure.CPU()-before < look/20 {
			return
		}
	}
}

// await waits until a number of subscribers have a change in force.
func (c *crowd) await(ctx context.Context, left, change int, each func(time.Time)) error {
	for left > 0 {
		select {
		case a := <-c.inForce:
			if a.change == change {
				each(a.at)
				left--
			}
		case err := <-c.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("change %d is not in force at %d subscribers: %w", change, left, ctx.Err())
		}
	}
	return nil
}

func (c *crowd) close() error {
	c.cancel()
	var err error
	for _, conn := range c.conns {
		err = errors.Join(err, conn.Close())
	}
	c.work.Wait()
	return errors.Join(err, c.plane.close())
}

// subscriber puts what it receives in force.
type subscriber struct {
	crowd  *crowd
	node   *corev3.Node
	config atomic.Pointer[map[string]message] // the newest resources of a response
	done   [4]bool                            // types that have come
	began  bool                               // all of them have
}

// take decodes, checks and swaps.
func (s *subscriber) take(kind string, bodies []*anypb.Any) (change int, err error) {
	change = -1
	made := make(map[string]message, len(bodies))
	for n, body := range bodies {
		m := newMessage(kind)
		if err := body.UnmarshalTo(m); err != nil {
			return 0, err
		}
		if err := m.ValidateAll(); err != nil {
			return 0, err
		}
		change = max(change, changeOf(m))
		made[fmt.Sprint(n)] = m
	}
	s.config.Store(&made)
	return change, nil
}

func names(kind string) []string {
	switch kind {
	case ads.EndpointType:
		all := make([]string, clusters)
		for n := range all {
			all[n] = clusterName(n)
		}
		return all
	case ads.RouteType:
		return []string{"edge"}
	}
	return nil
}

func (s *subscriber) state(ctx context.Context, client discoveryv3.AggregatedDiscoveryServiceClient) error {
	stream, err := client.StreamAggregatedResources(ctx, grpc.MaxCallRecvMsgSize(64<<20))
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		if err := stream.Send(&discoveryv3.DiscoveryRequest{Node: s.node, TypeUrl: kind, ResourceNames: names(kind)}); err != nil {
			return err
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		change, err := s.take(response.GetTypeUrl(), response.GetResources())
		if err != nil {
			return err
		}
		at := time.Now()
		if err := stream.Send(&discoveryv3.DiscoveryRequest{
			Node: s.node, TypeUrl: response.GetTypeUrl(), VersionInfo: response.GetVersionInfo(), ResponseNonce: response.GetNonce(),
			ResourceNames: names(response.GetTypeUrl()),
		}); err != nil {
			return err
		}
		s.tell(response.GetTypeUrl(), change, at)
	}
}

func (s *subscriber) delta(ctx context.Context, client discoveryv3.AggregatedDiscoveryServiceClient) error {
	stream, err := client.DeltaAggregatedResources(ctx, grpc.MaxCallRecvMsgSize(64<<20))
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: s.node, TypeUrl: kind, ResourceNamesSubscribe: names(kind)}); err != nil {
			return err
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		bodies := make([]*anypb.Any, len(response.GetResources()))
		for n, r := range response.GetResources() {
			bodies[n] = r.GetResource()
		}
		change, err := s.take(response.GetTypeUrl(), bodies)
		if err != nil {
			return err
		}
		at := time.Now()
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{
			Node: s.node, TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce(),
		}); err != nil {
			return err
		}
		s.tell(response.GetTypeUrl(), change, at)
	}
}

// tell reports a change once all types have come.
func (s *subscriber) tell(kind string, change int, at time.Time) {
	if s.began {
		if change >= 0 {
			s.crowd.inForce <- arrival{change, at}
		}
		return
	}
	s.began = true
	for n, one := range kinds {
		s.done[n] = s.done[n] || one == kind
		s.began = s.began && s.done[n]
	}
	if s.began {
		s.crowd.inForce <- arrival{0, at}
	}
}
