package ads

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// serve serves over HTTP/2 without TLS and returns a client.
func serve(t *testing.T, handler http.Handler) *grpc.ClientConn {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	conn, err := grpc.NewClient(strings.TrimPrefix(server.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func publish(s *Server, view string, previous *Snapshot, words ...string) *Snapshot {
	snapshot, _ := Next(previous, words[0], 1, parse(words[1:]))
	s.Publish(view, snapshot)
	return snapshot
}

func TestServicesOfOneTypeAndViews(t *testing.T) {
	s := NewServer(Config{View: func(node *corev3.Node) string { return node.GetCluster() }})
	conn := serve(t, s.Handler(nil))
	first := publish(s, "", nil, "r1", "cluster=a:1")
	publish(s, "east", nil, "r1", "cluster=a:1,e:1")
	ask := func(group string) *discoveryv3.DeltaDiscoveryResponse {
		t.Helper()
		stream, err := clusterv3.NewClusterDiscoveryServiceClient(conn).DeltaClusters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		request := &discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "n", Cluster: group}} // its type goes without saying
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{ResponseNonce: response.GetNonce()}); err != nil {
			t.Fatal(err)
		}
		return response
	}
	if got := ask(""); len(got.GetResources()) != 1 || got.GetTypeUrl() != ClusterType || got.GetControlPlane().GetIdentifier() != identifier {
		t.Errorf("got %v", got)
	}
	if got := ask("east"); len(got.GetResources()) != 2 {
		t.Errorf("got %v", got)
	}
	for {
		if clients, accepted, refused := s.Standing("", first); clients == 1 && accepted == 1 && refused == 0 {
			return
		}
		<-s.Moved("")
	}
}

func TestStreamsAreBoundedAndForSome(t *testing.T) {
	s := NewServer(Config{MaxStreams: 1})
	publish(s, "", nil, "r1", "cluster=a:1")
	conn := serve(t, s.Handler(func(r *http.Request) error {
		if r.Header.Get("Name") == "" {
			return errors.New("who are you? 100%")
		}
		return nil
	}))
	open := func(ctx context.Context) error {
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
		if err != nil {
			return err
		}
		if err := stream.Send(&discoveryv3.DiscoveryRequest{TypeUrl: ClusterType}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	if err := open(t.Context()); status.Code(err) != codes.PermissionDenied || status.Convert(err).Message() != "who are you? 100%" {
		t.Errorf("stranger: %v", err)
	}
	known := grpcMetadata(t.Context())
	if err := open(known); err != nil {
		t.Errorf("first: %v", err)
	}
	if err := open(known); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("second: %v", err)
	}
}

func TestWhatIsNoGRPCIsRefused(t *testing.T) {
	s := NewServer(Config{})
	publish(s, "", nil, "r1", "cluster=a:1")
	frame := func(flag byte, size int, body []byte) []byte {
		head := []byte{flag, 0, 0, 0, 0}
		binary.BigEndian.PutUint32(head[1:], uint32(size))
		return append(head, body...)
	}
	path := "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	tests := []struct {
		name, path, kind string
		major            int
		body             []byte
		status           int
		grpc             codes.Code
	}{
		{"http/1.1", path, contentType, 1, nil, http.StatusNotFound, 0},
		{"path", "/other", contentType, 2, nil, http.StatusNotFound, 0},
		{"json", path, contentType + "+json", 2, nil, http.StatusUnsupportedMediaType, 0},
		{"compressed", path, contentType, 2, frame(1, 0, nil), http.StatusOK, codes.Unimplemented},
		{"large", path, contentType, 2, frame(0, maxRequest+1, nil), http.StatusOK, codes.ResourceExhausted},
		{"torn", path, contentType, 2, frame(0, 10, []byte("abc")), http.StatusOK, codes.Unavailable},
		{"no message", path, contentType + "+proto", 2, frame(0, 2, []byte{0xff, 0xff}), http.StatusOK, codes.InvalidArgument},
		{"end", path, contentType, 2, nil, http.StatusOK, codes.OK},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, test.path, bytes.NewReader(test.body))
			r.Header.Set("Content-Type", test.kind)
			r.ProtoMajor = test.major
			w := httptest.NewRecorder()
			s.Handler(nil).ServeHTTP(w, r)
			if w.Code != test.status {
				t.Fatalf("status %d", w.Code)
			}
			if got := w.Result().Trailer.Get("Grpc-Status"); test.status == http.StatusOK && got != fmt.Sprint(int(test.grpc)) {
				t.Errorf("grpc-status %s", got)
			}
		})
	}
}

func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	s := NewServer(Config{WriteTimeout: 50 * time.Millisecond})
	large := NewResource(ClusterType, "a", make([]byte, 8<<20))
	snapshot, _ := Next(nil, "r1", 1, map[string][]*Resource{ClusterType: {large}})
	s.Publish("", snapshot)
	ended := make(chan struct{})
	conn := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Handler(nil).ServeHTTP(w, r)
		close(ended)
	}))
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(t.Context(), grpc.MaxCallRecvMsgSize(1<<30))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DiscoveryRequest{TypeUrl: ClusterType}); err != nil {
		t.Fatal(err)
	}
	<-ended // grpc-go takes no more than its window of a stream that nobody reads
	if _, err := stream.Recv(); err == nil {
		t.Error("the response arrived whole")
	}
}

// FuzzRequests: no request breaks a stream's state.
func FuzzRequests(f *testing.F) {
	add := func(delta bool, messages ...proto.Message) {
		var body []byte
		for _, message := range messages {
			raw, err := proto.Marshal(message)
			if err != nil {
				f.Fatal(err)
			}
			body = binary.BigEndian.AppendUint32(append(body, 0), uint32(len(raw)))
			body = append(body, raw...)
		}
		f.Add(delta, body)
	}
	add(false, &discoveryv3.DiscoveryRequest{TypeUrl: ClusterType}, &discoveryv3.DiscoveryRequest{TypeUrl: ClusterType, ResponseNonce: "1"})
	add(true, &discoveryv3.DeltaDiscoveryRequest{TypeUrl: RouteType, ResourceNamesSubscribe: []string{"*", "a"}, InitialResourceVersions: map[string]string{"a": "1"}},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: RouteType, ResponseNonce: "1", ResourceNamesUnsubscribe: []string{"*"}})
	snapshot, _ := Next(nil, "r1", 1, parse([]string{"cluster=a:1,b:1", "endpoint=a:1", "route=a:1"}))
	f.Fuzz(func(t *testing.T, delta bool, body []byte) {
		requests := make(chan proto.Message, len(body)+1)
		_ = read(t.Context(), bytes.NewReader(body), method{delta: delta}, requests)
		close(requests)
		s := newStream(NewServer(Config{}).config.Log, newMetrics(nil), delta)
		for request := range requests {
			s.take(request)
			for _, r := range s.responses(snapshot) {
				raw := append(r.head(nil), r.shared...)
				if err := proto.Unmarshal(raw, new(discoveryv3.DeltaDiscoveryResponse)); delta && err != nil {
					t.Fatal(err)
				}
			}
		}
		s.close()
	})
}

// grpcMetadata names the caller.
func grpcMetadata(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "name", "somebody")
}
