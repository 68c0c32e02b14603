package upstream

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/testcert"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

func TestWhatStaysKeepsItsConnections(t *testing.T) {
	stays, goes := serve(t, "tcp", "127.0.0.1:0"), serve(t, "tcp", "127.0.0.1:0")
	set := New(Config{})
	build := func(addresses ...string) *View {
		v, err := set.Build(map[string]edge.Cluster{"c": {Endpoints: endpoints(addresses...), Errors: &edge.ErrorBreaker{}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := build(stays.address, goes.address)
	c := before.Cluster("c")
	a, b := c.members[0].Endpoint, c.members[1].Endpoint
	kept := conn(t, a)
	kept.Keep()
	used := conn(t, b)
	conn(t, b).Keep()
	_ = c.Admit(time.Now())

	after := build(stays.address)
	if after.Cluster("c").members[0].Endpoint != a || after.Cluster("c").breaker != c.breaker || after.Cluster("gone") != nil {
		t.Error("endpoint or breaker is not taken over")
	}
	if b.idle.len() != 1 {
		t.Error("a connection was closed before the old view was retired")
	}
	before.Retire()
	before.Retire()
	select {
	case <-b.Retired():
	default:
		t.Error("the endpoint that went is not retired")
	}
	if b.idle.len() != 0 || a.idle.len() != 1 {
		t.Errorf("kept: %d and %d, want 1 and 0", a.idle.len(), b.idle.len())
	}
	if _, err := used.Write([]byte("ping")); err != nil {
		t.Error("a connection in use was cut off")
	}
	if _, err := io.ReadFull(used, used.Buf[:4]); err != nil {
		t.Error("a connection in use was cut off")
	}
	used.Keep()
	if b.idle.len() != 0 {
		t.Error("a connection to an endpoint that went is kept")
	}
	if again := conn(t, a); again != kept {
		t.Error("the kept connection is not used")
	} else {
		again.Close()
	}
	c.Release()
	if g := after.Cluster("c").group; g.requests.Load() != 0 || g.queue.open.Load() != 0 {
		t.Errorf("%d requests and %d connections are left", g.requests.Load(), g.queue.open.Load())
	}
}

func TestViewThatWasNotPutInForceIsForgotten(t *testing.T) {
	set := New(Config{})
	first := one(t, set, edge.Cluster{Endpoints: endpoints("10.0.0.1:80"), MaxConnections: 7})
	second, err := set.Build(map[string]edge.Cluster{"c": {Endpoints: endpoints("10.0.0.1:80"), MaxConnections: 1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	second.Retire()
	if got := first.group.queue.most(); got != 7 {
		t.Errorf("bound is %d, want 7 as before", got)
	}
}

func TestDrainingEndpointClosesWhatItKept(t *testing.T) {
	upstream := serve(t, "tcp", "127.0.0.1:0")
	set := New(Config{})
	c := one(t, set, edge.Cluster{Endpoints: endpoints(upstream.address)})
	e := c.members[0].Endpoint
	used := conn(t, e)
	conn(t, e).Keep()
	leaving := one(t, set, edge.Cluster{Endpoints: []edge.Endpoint{{Address: upstream.address, Draining: true}}})
	if e.idle.len() != 0 {
		t.Error("a draining endpoint keeps a connection")
	}
	used.Keep()
	if e.idle.len() != 0 || !e.Wanted() {
		t.Error("a draining endpoint keeps a connection")
	}
	if _, err := leaving.Pick(0, false, nil); !errors.Is(err, ErrNoEndpoint) {
		t.Errorf("error is %v", err)
	}
	one(t, set, edge.Cluster{Endpoints: endpoints(upstream.address)})
	conn(t, e).Keep()
	if e.idle.len() != 1 {
		t.Error("an endpoint that drains no more keeps none")
	}
	c.group.closeIdle()
}

func TestBuildNamesEveryFault(t *testing.T) {
	_, err := New(Config{}).Build(map[string]edge.Cluster{
		"a": {Endpoints: endpoints("nowhere", "unix:", ":80", "h:0"), MaxRequests: -1, RetryBudget: 2},
		"b": {
			TLS: &edge.ClusterTLS{Authority: "x", Certificate: "y"}, ConnectTimeout: -1,
			Health: &edge.HealthCheck{Path: "p"}, Outlier: &edge.Outlier{MaxEjectPercent: 101}, Errors: &edge.ErrorBreaker{Share: -1},
		},
	}, nil)
	for _, want := range []string{
		`cluster "a"`, `endpoints[0]: address "nowhere"`, "endpoints[1]", "endpoints[2]", "endpoints[3]", "max_requests: -1", "retry_budget",
		`cluster "b"`, `tls.authority: secret "x"`, `tls.certificate: secret "y" does not exist`, "health.path", "max_eject_percent", "errors.share", "below zero",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
}

// secured echoes over TLS, asks for a certificate and tells whose came.
func secured(t *testing.T, ca *testcert.Authority) (address string, callers chan string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{ca.Leaf("shop.internal").Pair()},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.Roots(), NextProtos: []string{"h2", "http/1.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	callers = make(chan string, 16)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			accepted, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer accepted.Close()
				shaken := accepted.(*tls.Conn)
				if shaken.Handshake() != nil {
					return
				}
				state := shaken.ConnectionState()
				callers <- state.PeerCertificates[0].Subject.CommonName + " " + state.NegotiatedProtocol
				_, _ = io.Copy(shaken, shaken)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return listener.Addr().String(), callers
}

func TestSecretsAreExchangedWithoutCuttingOff(t *testing.T) {
	ca := testcert.New()
	address, callers := secured(t, ca)
	set := New(Config{})
	build := func(who testcert.Leaf) *Cluster {
		v, err := set.Build(map[string]edge.Cluster{"c": {
			Endpoints: []edge.Endpoint{{Address: address, TLS: true}},
			TLS:       &edge.ClusterTLS{ServerName: "shop.internal", Authority: "ca", Certificate: "me"},
		}}, map[string]edge.Secret{"ca": {AuthorityPEM: ca.PEM()}, "me": {CertificatePEM: who.Certificate, KeyPEM: who.Key}})
		if err != nil {
			t.Fatal(err)
		}
		return v.Cluster("c")
	}
	old, young := ca.Leaf("old"), ca.Leaf("young")
	c := build(old)
	e := c.members[0].Endpoint
	used, kept := conn(t, e), conn(t, e)
	kept.Keep()
	if who := <-callers + ", " + <-callers; who != "old http/1.1, old http/1.1" {
		t.Errorf("callers are %s", who)
	}
	if build(old).credentials != c.credentials {
		t.Error("equal secrets make new credentials")
	}
	if again := conn(t, e); again != kept {
		t.Error("a kept connection is lost though nothing has changed")
	} else {
		again.Keep()
	}
	if got := build(young).members[0].Endpoint; got != e {
		t.Error("a new secret makes a new endpoint")
	}
	if _, err := used.Write([]byte("ping")); err != nil {
		t.Error("a connection in use was cut off")
	}
	used.Keep()
	fresh := conn(t, e)
	if who := <-callers; fresh.Reused || who != "young http/1.1" {
		t.Errorf("after the change %s calls", who)
	}
	fresh.Close()
	h2, err := e.Dial(t.Context(), "h2")
	if err != nil {
		t.Fatal(err)
	}
	if who := <-callers; who != "young h2" {
		t.Errorf("caller is %s", who)
	}
	h2.Close()
	if n := c.group.queue.open.Load(); n != 0 {
		t.Errorf("%d connections are counted at the end", n)
	}
}

func TestWrongAuthorityIsADialError(t *testing.T) {
	ca := testcert.New()
	address, _ := secured(t, ca)
	v, err := New(Config{}).Build(map[string]edge.Cluster{"c": {
		Endpoints: []edge.Endpoint{{Address: address, TLS: true}},
		TLS:       &edge.ClusterTLS{ServerName: "shop.internal", Authority: "ca"},
	}}, map[string]edge.Secret{"ca": {AuthorityPEM: testcert.New().PEM()}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Cluster("c").members[0].Conn(t.Context())
	var dial *DialError
	if !errors.As(err, &dial) {
		t.Errorf("error is %v, want a DialError", err)
	}
}
