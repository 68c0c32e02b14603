package gate_test

import (
	"maps"
	"net"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/e2e/internal/gate"
	"github.com/backlot-video/backlot/kit/testport"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// TestAListenerMovesUnderLoad has a listener move from one address to all of
// them and back, of which the system opens one only. Connections that are open
// go on, and none that comes is refused or reset.
func TestAListenerMovesUnderLoad(t *testing.T) {
	narrow := testport.Address(t)
	_, port, err := net.SplitHostPort(narrow)
	if err != nil {
		t.Fatal(err)
	}
	at := func(address string) map[string]proto.Message {
		return map[string]proto.Message{"Listener/moving": &gatewayv1.Listener{Address: address}}
	}
	config := objects(gate.NewBackend(t, "a", ""))
	maps.Copy(config, at(narrow))
	g := gate.New(t, config)
	streams := map[string]*gate.Stream{"WebSocket": gate.NewWebSocket(t, narrow), "gRPC stream": gate.NewGRPC(t, narrow)}
	echo(t, streams, "at the start")
	loads := map[string]*gate.Load{
		"kept connections": gate.NewLoad(t, narrow, "/128", 8, time.Millisecond),
		"new connections":  gate.NewFreshLoad(t, narrow, "/128", 8, time.Millisecond),
	}
	const moves = 20
	for n := range moves {
		if err := g.InForce(g.Apply(at([]string{"0.0.0.0:" + port, narrow}[n%2]))); err != nil {
			t.Fatal(err)
		}
		for _, load := range loads {
			for asked := load.Requests.Load(); load.Requests.Load() < asked+100; {
				<-time.After(time.Millisecond)
			}
		}
	}
	echo(t, streams, "at the end")
	for what, load := range loads {
		if failures, err := load.Stop(); failures > 0 {
			t.Errorf("%s: %d of %d requests failed, first: %v", what, failures, load.Requests.Load(), err)
		}
		t.Logf("%s: %d requests during %d moves", what, load.Requests.Load(), moves)
	}
	for _, stream := range streams {
		stream.Close()
	}
}
