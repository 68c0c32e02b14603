package service

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/configclient"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// loser is a proxy that can lose an answer: the server has carried out what it
// was asked for, and the client hears nothing of it.
type loser struct {
	address string
	armed   atomic.Bool
	lost    atomic.Int64
}

// lose runs one before a process until the test ends.
func lose(t *testing.T, p *process) *loser {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &loser{address: listener.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { l.pass(client, p.socket) })
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return l
}

// pass carries bytes both ways until one side ends, or an answer is lost.
func (l *loser) pass(client net.Conn, socket string) {
	defer client.Close()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	buffer := make([]byte, 32<<10)
	for {
		size, err := server.Read(buffer)
		if err != nil {
			return
		}
		if l.armed.CompareAndSwap(true, false) {
			l.lost.Add(1)
			return
		}
		if _, err := client.Write(buffer[:size]); err != nil {
			return
		}
	}
}

// TestLostAnswerIsNoConflict has kit/rpc repeat releases with expected
// revisions whose answers were lost.
func TestLostAnswerIsNoConflict(t *testing.T) {
	p := run(t, t.TempDir())
	proxy := lose(t, p)
	dialer := rpc.NewDialer(rpc.ClientConfig{
		Service: "tester", Signer: p.keys,
		Resolver: rpc.Static(map[string][]rpc.Endpoint{"configstore": {{Address: proxy.address}}}),
	})
	t.Cleanup(func() {
		if err := dialer.Close(); err != nil {
			t.Error(err)
		}
	})
	plain := configstorev1.NewConfigServiceClient(dialer.Conn("configstore"))
	client := configclient.New(dialer.Conn("configstore"), nil)
	apply := func(expected int64, service string) (*configstorev1.ApplyRequest, *configstorev1.ApplyResponse) {
		t.Helper()
		request := put(t, "Cluster", "a", cluster(service))
		request.Changes[0].ExpectedRevision = expected
		answer, err := client.Apply(t.Context(), request)
		if err != nil {
			t.Fatalf("%s after %d lost answers: %v", service, proxy.lost.Load(), err)
		}
		return request, answer
	}
	_, first := apply(-1, "one")
	proxy.armed.Store(true)
	request, second := apply(first.GetRelease().GetRevision(), "two")
	if proxy.lost.Load() != 1 {
		t.Fatalf("%d answers were lost, want 1", proxy.lost.Load())
	}
	if request.GetRequestId() != "" {
		t.Error("the caller's request was changed")
	}
	if o := second.GetObjects()[0]; o.GetRevision() != second.GetRelease().GetRevision() || o.GetRevision() <= first.GetRelease().GetRevision() {
		t.Errorf("answer to the repeated release: %v", second)
	}
	releases, err := p.config(identity.Operator).ListReleases(t.Context(), &configstorev1.ListReleasesRequest{})
	if err != nil || len(releases.GetReleases()) != 2 {
		t.Errorf("%d releases, want 2: %v", len(releases.GetReleases()), err)
	}

	// Again by hand, with the same id, and with another content.
	request.RequestId = second.GetRelease().GetRequestId()
	again, err := plain.Apply(t.Context(), request)
	if err != nil || !proto.Equal(again, second) {
		t.Errorf("asked again: %v, %v; was %v", again, err, second)
	}
	request.Changes[0].GetPut().Spec = put(t, "Cluster", "a", &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "three"}}).GetChanges()[0].GetPut().GetSpec()
	if _, err := plain.Apply(t.Context(), request); faultPath(err) != "request_id" {
		t.Errorf("another content: %v", err)
	}

	// Without an id it is what it says that it is.
	request.RequestId, request.Changes[0].ExpectedRevision = "", second.GetRelease().GetRevision()
	proxy.armed.Store(true)
	if _, err := plain.Apply(t.Context(), request); err == nil {
		t.Error("a release without an id is repeated without a conflict: the proxy loses nothing")
	}
}
