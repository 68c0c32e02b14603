package service

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/lifecycle"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/ads"
)

func TestDefaultsAreValidAndFaultsAreReportedTogether(t *testing.T) {
	s := New()
	set := config.New("test")
	s.RegisterFlags(set.Sub(s.Name()))
	if _, err := set.Parse(nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	s.config.QuotaBytes, s.config.HistoryRevisions = 1, 1
	err := s.Validate()
	for _, field := range []string{"configstore.quota-bytes", "configstore.history-revisions"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

// process is configstore as a process of its own, within the test.
type process struct {
	t      *testing.T
	dir    string
	socket string
	keys   *identity.Keys
	client *http.Client
	logs   syncBuffer
	stop   func()
}

func run(t *testing.T, dir string, flags ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, socket: filepath.Join(dir, "rpc.sock")}
	ctx, cancel := context.WithCancel(t.Context())
	logs := &p.logs
	ended := make(chan error, 1)
	go func() {
		ended <- lifecycle.Run(ctx, "configstore", append([]string{
			"--data-dir", filepath.Join(dir, "data"), "--ops-listen", "",
			"--configstore.rpc-listen", "unix:" + p.socket, "--configstore.kitex-listen", "",
		}, flags...), nil, logs, New())
	}()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v\n%s", err, logs.String())
		}
		p.client.CloseIdleConnections()
	})
	t.Cleanup(p.stop)
	p.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", p.socket)
		},
	}}
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("unix", p.socket)
		if err == nil {
			conn.Close()
			break
		}
		if len(ended) > 0 || time.Now().After(deadline) {
			t.Fatalf("does not listen: %v\n%s", err, logs.String())
		}
	}
	keys, err := identity.OpenKeys(filepath.Join(dir, "data", "cluster.key"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	p.keys = keys
	return p
}

type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func (p *process) sign(kind identity.Kind) string {
	token, err := p.keys.Sign(identity.Principal{Kind: kind, ID: "somebody", TenantID: "main"})
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

// as adds a principal to calls.
func (p *process) as(kind identity.Kind) connect.ClientOption {
	return connect.WithInterceptors(signer{p, kind})
}

type signer struct {
	process *process
	kind    identity.Kind
}

func (s signer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		request.Header().Set(identity.Header, s.process.sign(s.kind))
		return next(ctx, request)
	}
}

func (s signer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set(identity.Header, s.process.sign(s.kind))
		return conn
	}
}

func (s signer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func (p *process) config(kind identity.Kind) configstorev1connect.ConfigServiceClient {
	return configstorev1connect.NewConfigServiceClient(p.client, "http://configstore", p.as(kind))
}

func put(t *testing.T, kind, name string, spec proto.Message) *configstorev1.ApplyRequest {
	t.Helper()
	packed, err := anypb.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	object := &configstorev1.Object{Key: &configstorev1.Key{Kind: kind, Name: name}, Spec: packed}
	return &configstorev1.ApplyRequest{Reason: "test", Changes: []*configstorev1.Change{{Change: &configstorev1.Change_Put{Put: object}}}}
}

func cluster(service string) *gatewayv1.Cluster {
	return &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: service}}
}

func TestInformerFollowsReleasesOverARestart(t *testing.T) {
	dir := t.TempDir()
	p := run(t, dir)
	client := p.config(identity.Operator)
	applied, err := client.Apply(t.Context(), put(t, "Cluster", "a", cluster("one")))
	if err != nil {
		t.Fatal(err)
	}
	if release := applied.GetRelease(); release.GetAuthor() != "operator/somebody" || release.GetReason() != "test" {
		t.Errorf("release = %v", release)
	}

	source := informer.NewRemote(p.client, "http://configstore", p.as(identity.Service))
	clusters := informer.New[*gatewayv1.Cluster](source, "Cluster", informer.Config{BackoffMax: 100 * time.Millisecond})
	changes := make(chan string, 16)
	clusters.OnChange(func(events []informer.Event[*gatewayv1.Cluster]) {
		for _, e := range events {
			changes <- e.Type.String() + " " + e.Object.Name + " " + e.Object.Spec.GetService()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() {
		if err := clusters.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer following.Wait()
	defer cancel()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-changes:
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no %q", want)
		}
	}
	expect("added a one")
	if _, err := client.Apply(t.Context(), put(t, "Cluster", "a", cluster("two"))); err != nil {
		t.Fatal(err)
	}
	expect("updated a two")

	p.stop() // with the watch open
	p = run(t, dir)
	if _, err := p.config(identity.Operator).Apply(t.Context(), put(t, "Cluster", "b", cluster("three"))); err != nil {
		t.Fatal(err)
	}
	expect("added b three")

	releases, err := p.config(identity.Operator).ListReleases(t.Context(), &configstorev1.ListReleasesRequest{PageSize: 2})
	if err != nil || len(releases.GetReleases()) != 2 || releases.GetNextPageToken() == "" {
		t.Fatalf("releases = %v, %v", releases, err)
	}
	rest, err := p.config(identity.Operator).ListReleases(t.Context(), &configstorev1.ListReleasesRequest{PageToken: releases.GetNextPageToken()})
	if err != nil || len(rest.GetReleases()) != 1 || rest.GetReleases()[0].GetId() != applied.GetRelease().GetId() {
		t.Errorf("rest = %v, %v", rest, err)
	}
}

func TestQuotaIsLeasedToServices(t *testing.T) {
	p := run(t, t.TempDir())
	client := func(kind identity.Kind) configstorev1connect.QuotaServiceClient {
		return configstorev1connect.NewQuotaServiceClient(p.client, "http://configstore", p.as(kind))
	}
	request := &configstorev1.LeaseRequest{Replica: "gateway-1", Asks: []*configstorev1.QuotaAsk{
		{Limit: "api/all", Rate: 0.001, Burst: 10, Key: []byte("a"), Want: 8, Demand: 8},
		{Limit: "api/all", Rate: 0.001, Burst: 10, Key: []byte("b"), Spent: 3},
	}}
	for _, want := range [][2]int64{{8, 7}, {1, 4}} {
		leased, err := client(identity.Service).Lease(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		first, second := leased.GetSlices()[0], leased.GetSlices()[1]
		if first.GetTokens() != want[0] || int64(second.GetFree()) != want[1] || leased.GetReplicas() != 1 {
			t.Errorf("leased %v, want %d tokens, and %d free", leased, want[0], want[1])
		}
	}
	if _, err := client(identity.Operator).Lease(t.Context(), request); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("an operator gets %v", err)
	}
	request.Asks[0].Rate = 0
	if _, err := client(identity.Service).Lease(t.Context(), request); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a limit without a rate gets %v", err)
	}
}

func TestErrorsOfReadingHaveCodeAndPath(t *testing.T) {
	p := run(t, t.TempDir())
	operator := p.config(identity.Operator)
	_, missing := operator.Get(t.Context(), &configstorev1.GetRequest{Key: &configstorev1.Key{Kind: "Cluster", Name: "b"}})
	_, unknown := operator.List(t.Context(), &configstorev1.ListRequest{Kind: "Nothing"})
	_, refused := p.config(identity.Viewer).List(t.Context(), &configstorev1.ListRequest{Kind: "Cluster"})
	for name, c := range map[string]struct {
		err  error
		code connect.Code
		path string
	}{
		"kind":    {unknown, connect.CodeNotFound, "kind"},
		"missing": {missing, connect.CodeNotFound, ""},
		"viewer":  {refused, connect.CodePermissionDenied, ""},
	} {
		if connect.CodeOf(c.err) != c.code {
			t.Errorf("%s: %v, want code %v", name, c.err, c.code)
		}
		if faultPath(c.err) != c.path {
			t.Errorf("%s: fault at %q, want %q", name, faultPath(c.err), c.path)
		}
	}
	stream, err := operator.Watch(t.Context(), &configstorev1.WatchRequest{Kind: "Cluster", FromRevision: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeOutOfRange {
		t.Errorf("watch of the future: %v", stream.Err())
	}
}

func TestJSONWorks(t *testing.T) {
	p := run(t, t.TempDir())
	status, answer := p.applyJSON(`{"reason":"by hand","changes":[{"put":{"key":{"kind":"Cluster","name":"a"},"spec":{` +
		`"@type":"type.googleapis.com/backlot.gateway.v1.Cluster","static":{"addresses":["127.0.0.1:80"]}}}}]}`)
	if status != http.StatusOK || !strings.Contains(answer, `"127.0.0.1:80"`) {
		t.Errorf("%d: %s", status, answer)
	}
}

// applyJSON posts what a person wrote by hand.
func (p *process) applyJSON(body string) (status int, answer string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost,
		"http://configstore/backlot.configstore.v1.ConfigService/Apply", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(identity.Header, p.sign(identity.Operator))
	response, err := p.client.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestControlPlaneIsForServicesAndEndsWithTheProcess(t *testing.T) {
	p := run(t, t.TempDir())
	conn, err := grpc.NewClient("unix:"+p.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	open := func(kind identity.Kind) discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient {
		ctx := metadata.AppendToOutgoingContext(t.Context(), identity.Header, p.sign(kind))
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&discoveryv3.DiscoveryRequest{TypeUrl: ads.ListenerType}); err != nil {
			t.Fatal(err)
		}
		return stream
	}
	if _, err := open(identity.Viewer).Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("viewer: %v", err)
	}
	stream := open(identity.Service)
	if response, err := stream.Recv(); err != nil || len(response.GetResources()) != 1 {
		t.Fatalf("service: %v, %v", response, err)
	}
	begin := time.Now()
	p.stop()
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("stop with an open stream took %v", took)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("stream goes on")
	}
}
