//go:build linux

package configstore

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/informer"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// overConnections opens the connections of gRPC.
func overConnections(
	address string, follow func(ctx context.Context, conn *grpc.ClientConn, stands, got func()) error,
) (following, error) {
	conns := make([]*grpc.ClientConn, streamConns)
	for i := range conns {
		conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return following{}, err
		}
		conns[i] = conn
	}
	return following{
		func(ctx context.Context, i int, stands, got func()) error {
			return follow(ctx, conns[i%streamConns], stands, got)
		},
		func() error {
			var faults []error
			for _, conn := range conns {
				faults = append(faults, conn.Close())
			}
			return errors.Join(faults...)
		},
	}, nil
}

// streams is the peer's watches on streams of their own.
func (e *etcds) streams() (following, error) {
	return overConnections(e.urls[0][len("http://"):], follow)
}

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

// streams is the configstore's watches on streams of their own.
func (m *members) streams() (following, error) {
	return overConnections(m.endpoints[0].Address, m.follow)
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
	for {
		response := new(configstorev1.WatchResponse)
		if err := stream.RecvMsg(response); err != nil {
			return err
		}
		stands()
		for range response.GetEvents() {
			got()
		}
	}
}

// shared is the configstore's watches as the informers of 50 processes have
// them: those of a process share a watch.
func (m *members) shared() (following, error) {
	sources := make([]informer.Source, streamConns)
	transports := make([]*http.Transport, streamConns)
	for i := range sources {
		transports[i] = new(http.Transport)
		sources[i] = informer.Share(informer.NewRemote(&http.Client{Transport: bearer{m.keys, transports[i]}}, "http://"+m.endpoints[0].Address))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	from, err := sources[0].List(ctx, kind, "", func([]informer.Item) error { return nil })
	return following{
		func(ctx context.Context, i int, stands, got func()) error {
			return sources[i%streamConns].Watch(ctx, kind, "", from, func(batch informer.Batch) error {
				stands()
				for range batch.Changes {
					got()
				}
				return nil
			})
		},
		func() error {
			for _, transport := range transports {
				transport.CloseIdleConnections()
			}
			return nil
		},
	}, err
}

// shared is the peer's watches by 50 clients of its own: the watches of one
// share a stream.
func (e *etcds) shared() (following, error) {
	clients := make([]*clientv3.Client, streamConns)
	for i := range clients {
		client, err := clientv3.New(clientv3.Config{Endpoints: e.urls[:1], Logger: zap.NewNop()})
		if err != nil {
			return following{}, err
		}
		clients[i] = client
	}
	return following{
		func(ctx context.Context, i int, stands, got func()) error {
			for response := range clients[i%streamConns].Watch(ctx, key(""), clientv3.WithPrefix(), clientv3.WithCreatedNotify()) {
				if err := response.Err(); err != nil {
					return err
				}
				stands()
				for range response.Events {
					got()
				}
			}
			return errors.New("the watch has ended")
		},
		func() error {
			var faults []error
			for _, client := range clients {
				faults = append(faults, client.Close())
			}
			return errors.Join(faults...)
		},
	}, nil
}
