package h2_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h2"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// endpoint is the one endpoint of a cluster of its own.
func endpoint(t testing.TB, address string) (*upstream.Endpoint, *upstream.Set, *upstream.View) {
	t.Helper()
	set := upstream.New(upstream.Config{})
	view, err := set.Build(map[string]edge.Cluster{"c": {
		Name: "c", Endpoints: []edge.Endpoint{{Address: address}}, Protocol: edge.UpstreamHTTP2,
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := view.Cluster("c").Pick(0, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e, set, view
}

func transport(t testing.TB, limits h2.Limits) *h2.Transport {
	tr := h2.NewTransport(h2.TransportConfig{Limits: limits})
	t.Cleanup(tr.Close)
	return tr
}

// netHTTP serves HTTP/2 by the standard library, without TLS.
func netHTTP(t testing.TB, handler http.HandlerFunc) (address string, conns *atomic.Int64) {
	t.Helper()
	conns = new(atomic.Int64)
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), conns
}

func request(method, path string, length int64) *exchange.Exchange {
	x := new(exchange.Exchange)
	x.Request = exchange.Request{
		Method: []byte(method), Path: []byte(path), Authority: []byte("site.test"), Length: length, Trailers: true,
	}
	x.Request.Fields.Add(exchange.Other, []byte("X-Asked"), []byte("Yes"))
	x.Request.Fields.Add(exchange.Trailer, exchange.Trailer.Bytes(), []byte("X-End"))
	return x
}

func TestCallsCarryBodiesAndTrailersBothWays(t *testing.T) {
	handlers := map[string]func() string{
		"net/http": func() string {
			address, _ := netHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Trailer", "X-Sum")
				w.Header().Set("X-Host", r.Host+" "+r.Header.Get("X-Asked"))
				n, err := io.Copy(w, r.Body)
				w.Header().Set("X-Sum", fmt.Sprintf("%d %v %s", n, err, r.Trailer.Get("X-End")))
			})
			return address
		},
		"own": func() string {
			address, _ := serveTest(t, h2.Config{Handler: handlerFunc(func(_ context.Context, x *exchange.Exchange) error {
				x.Response = exchange.Response{Status: 200, Length: exchange.Unknown}
				asked, _ := x.Request.Fields.Find("x-asked")
				x.Response.Fields.Add(exchange.Other, []byte("X-Host"), fmt.Appendf(nil, "%s %s", x.Request.Authority, asked))
				if err := x.Client.WriteHead(&x.Response); err != nil {
					return err
				}
				buffer, total := make([]byte, 4<<10), 0
				for {
					n, err := x.Client.ReadBody(buffer)
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						return err
					}
					total += n
					if _, err := x.Client.WriteBody(buffer[:n]); err != nil {
						return err
					}
				}
				end, _ := x.Client.RequestTrailers().Find("x-end")
				var trailers exchange.Fields
				trailers.Add(exchange.Other, []byte("X-Sum"), fmt.Appendf(nil, "%d <nil> %s", total, end))
				return x.Client.End(trailers)
			})}, nil)
			return address
		},
	}
	for name, start := range handlers {
		t.Run(name, func(t *testing.T) {
			e, _, _ := endpoint(t, start())
			tr := transport(t, h2.Limits{})
			for _, size := range []int{0, 10, 100 << 10, 3 << 20} {
				body := bytes.Repeat([]byte("abcdefgh"), size/8+1)[:size]
				call, err := tr.Open(t.Context(), request("POST", "/x", exchange.Unknown), e, true)
				if err != nil {
					t.Fatal(err)
				}
				var group sync.WaitGroup
				group.Go(func() {
					if _, err := call.Write(body); err != nil {
						t.Error(err)
					}
					var trailers exchange.Fields
					trailers.Add(exchange.Other, []byte("X-End"), []byte("yes"))
					if err := call.CloseWrite(trailers); err != nil {
						t.Error(err)
					}
				})
				var r exchange.Response
				if err := call.Head(&r); err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(call)
				group.Wait()
				if err != nil || !bytes.Equal(got, body) {
					t.Fatalf("%d bytes: got %d, %v", size, len(got), err)
				}
				host, _ := r.Fields.Find("x-host")
				sum, _ := call.Trailers().Find("x-sum")
				if want := fmt.Sprintf("%d <nil> yes", size); string(host) != "site.test Yes" || string(sum) != want {
					t.Errorf("host %q, sum %q, want %q", host, sum, want)
				}
				_ = call.Close()
			}
		})
	}
}

func TestMoreConnectionsAreMadeWhenOneIsFull(t *testing.T) {
	release := make(chan struct{})
	address, conns := netHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	e, _, _ := endpoint(t, address)
	tr := transport(t, h2.Limits{MaxStreams: 4})
	var calls []*h2.Call
	for range 10 {
		call, err := tr.Open(t.Context(), request("GET", "/", 0), e, false)
		if err != nil {
			t.Fatal(err)
		}
		var r exchange.Response
		if err := call.Head(&r); err != nil || r.Status != 200 {
			t.Fatal(r.Status, err)
		}
		calls = append(calls, call)
	}
	close(release)
	for _, call := range calls {
		if _, err := io.ReadAll(call); err != nil {
			t.Error(err)
		}
		_ = call.Close()
	}
	if n := conns.Load(); n != 3 {
		t.Errorf("10 calls of 4 a connection took %d connections, want 3", n)
	}
}

func TestContextEndsACall(t *testing.T) {
	cancelled := make(chan struct{}, 1)
	address, _ := netHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		cancelled <- struct{}{}
	})
	e, _, _ := endpoint(t, address)
	tr := transport(t, h2.Limits{})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	call, err := tr.Open(ctx, request("GET", "/", 0), e, false)
	if err != nil {
		t.Fatal(err)
	}
	var r exchange.Response
	if err := call.Head(&r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	_ = call.Close()
	<-cancelled
}

func TestCallsThatTheUpstreamDidNotActOnAreToldApart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		nc, err := listener.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		peer := newPeer(t, nc)
		peer.settings()
		first := peer.await(frameHeaders)
		second := peer.await(frameHeaders)
		peer.goAway(first, 0)
		peer.reset(second, 8) // too late to matter
		peer.headers(first, true, 0x88)
		peer.drainInput()
	})
	e, _, _ := endpoint(t, listener.Addr().String())
	tr := transport(t, h2.Limits{})
	open := func() *h2.Call {
		call, err := tr.Open(t.Context(), request("POST", "/", 0), e, false)
		if err != nil {
			t.Fatal(err)
		}
		return call
	}
	first := open()
	second := open()
	defer first.Close()
	defer second.Close()
	var r exchange.Response
	if err := second.Head(&r); !h2.Unprocessed(err) {
		t.Errorf("the call above GOAWAY's last stream ended by %v", err)
	}
	if err := first.Head(&r); err != nil || r.Status != 200 {
		t.Errorf("the call below it ended by %d, %v", r.Status, err)
	}
}

func TestConnectionsOfARetiredEndpointEndWithTheirLastCall(t *testing.T) {
	release := make(chan struct{})
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "end")
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	e, set, view := endpoint(t, server.Listener.Addr().String())
	tr := transport(t, h2.Limits{})
	call, err := tr.Open(t.Context(), request("GET", "/", 0), e, false)
	if err != nil {
		t.Fatal(err)
	}
	var r exchange.Response
	if err := call.Head(&r); err != nil {
		t.Fatal(err)
	}
	next, err := set.Build(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Retire()
	view.Retire()
	<-e.Retired()
	close(release)
	if got, err := io.ReadAll(call); err != nil || string(got) != "end" {
		t.Errorf("the call that went on got %q, %v", got, err)
	}
	_ = call.Close()
	<-closed
}
