package gate_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/e2e/internal/gate"
	"github.com/backlot-video/backlot/kit/testcert"
	"github.com/backlot-video/backlot/kit/testport"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// certificate is one for a name and loopback, and its key, as PEM.
func certificate(name string) *gatewayv1.Secret {
	leaf := testcert.New().Leaf(name, "127.0.0.1")
	inline := func(text []byte) *gatewayv1.Material {
		return &gatewayv1.Material{Source: &gatewayv1.Material_Inline{Inline: string(text)}}
	}
	return &gatewayv1.Secret{Material: &gatewayv1.Secret_Certificate{Certificate: &gatewayv1.Certificate{
		Chain: inline(leaf.Certificate), Key: inline(leaf.Key),
	}}}
}

// changing is a configuration of which every part changes.
type changing struct {
	backends      []*gate.Backend
	certificates  []*gatewayv1.Secret
	secure, extra string // addresses of listeners
}

// at is the configuration's state n: routes come and go, endpoints move, one
// listener stays and gets another certificate, one comes and goes, and the
// filters of the route that everything takes change.
func (c *changing) at(n int) map[string]proto.Message {
	a, b := c.backends[0].Address, c.backends[1].Address
	all := streaming("/", "backends")
	all.Policy.ResponseHeaders = &gatewayv1.HeaderEdits{Set: []*gatewayv1.HeaderValue{{Name: "X-State", Value: strconv.Itoa(n)}}}
	if n%2 == 1 {
		all.Policy.RateLimits = []*gatewayv1.RateLimit{{Name: "wide", Rate: 1_000_000}}
	}
	listener := func(address string) *gatewayv1.Listener {
		return &gatewayv1.Listener{Address: address, Tls: &gatewayv1.ListenerTls{Certificates: []string{"edge"}}}
	}
	objects := map[string]proto.Message{
		"Cluster/backends":                  gate.Cluster([][]string{{a, b}, {a}, {b}, {b, a}}[n%4]...),
		"Route/all":                         all,
		"Secret/edge":                       c.certificates[n%len(c.certificates)],
		"Listener/secure":                   listener(c.secure),
		fmt.Sprintf("Route/extra-%d", n%20): gate.Route(fmt.Sprintf("/extra-%d/", n), "backends"),
	}
	if n%3 == 0 {
		objects["Listener/extra"] = listener(c.extra)
	} else if n%3 == 1 && n > 1 {
		objects["Listener/extra"] = nil
	}
	return objects
}

// shakes hands with the listener that stays, whose certificate must be that of
// the state.
func (c *changing) shakes(t *testing.T, n int) {
	t.Helper()
	conn, err := tls.Dial("tcp", c.secure, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the name is compared
	if err != nil {
		t.Fatalf("state %d: %v", n, err)
	}
	defer conn.Close()
	if got, want := conn.ConnectionState().PeerCertificates[0].Subject.CommonName, strconv.Itoa(n%len(c.certificates)); got != want {
		t.Fatalf("state %d has certificate %s, not %s", n, got, want)
	}
}

// number is a setting of the run.
func number(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

// The short run is part of the tests; make gateway-proofs does the whole one:
// 1,000 changes, 1,000,000 requests.
func TestConfigurationsChangeUnderLoad(t *testing.T) {
	const windows = 10
	changes, requests := number("BACKLOT_SWAPS", 60), number("BACKLOT_SWAP_REQUESTS", 5000)
	length := time.Duration(number("BACKLOT_SWAP_WINDOW_MS", 200)) * time.Millisecond
	c := &changing{
		backends: []*gate.Backend{gate.NewBackend(t, "a", ""), gate.NewBackend(t, "b", "")},
		secure:   testport.Address(t), extra: testport.Address(t),
	}
	for n := range 3 {
		c.certificates = append(c.certificates, certificate(strconv.Itoa(n)))
	}
	g := gate.New(t, c.at(0))
	streams := map[string]*gate.Stream{"WebSocket": gate.NewWebSocket(t, g.Address), "gRPC stream": gate.NewGRPC(t, g.Address)}
	echo(t, streams, "at the start")
	load := gate.NewLoad(t, g.Address, "/128", 16, time.Millisecond)
	<-time.After(length) // connections are made
	load.Take()

	var quiet, busy, differences []time.Duration
	n := 0
	for range windows {
		<-time.After(length)
		quiet = append(quiet, tail(load.Take()))
		next := time.NewTicker(length / time.Duration(changes/windows))
		for range changes / windows {
			<-next.C
			n++
			if err := g.InForce(g.Apply(c.at(n))); err != nil {
				t.Fatal(err)
			}
			c.shakes(t, n)
		}
		next.Stop()
		busy = append(busy, tail(load.Take()))
		differences = append(differences, busy[len(busy)-1]-quiet[len(quiet)-1])
		echo(t, streams, fmt.Sprintf("by change %d", n))
	}
	for load.Requests.Load() < int64(requests) {
		<-time.After(10 * time.Millisecond)
	}
	failures, err := load.Stop()
	echo(t, streams, "at the end")
	if failures > 0 {
		t.Errorf("%d of %d requests failed, first: %v", failures, load.Requests.Load(), err)
	}
	t.Logf("%d changes in force, %d requests, %d failed, 2 streams open throughout; p99.9 quiet %v, with changes %v, median of differences %v",
		n, load.Requests.Load(), failures, median(quiet), median(busy), median(differences))
	if os.Getenv("BACKLOT_SWAPS") != "" && median(differences) > time.Millisecond {
		t.Errorf("changes cost %v at p99.9 (median of %d), more than 1 ms", median(differences), windows)
	}
	for _, stream := range streams {
		stream.Close()
	}
}

// tail is p99.9 of sorted latencies.
func tail(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	return took[int(0.999*float64(len(took)-1))]
}

func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
