package h2_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h2"
)

// handlerFunc is a handler of exchanges.
type handlerFunc func(ctx context.Context, x *exchange.Exchange) error

func (f handlerFunc) Serve(ctx context.Context, x *exchange.Exchange) error { return f(ctx, x) }

// echo answers with the request's body, its path in a field and its trailers.
func echo(_ context.Context, x *exchange.Exchange) error {
	x.Response = exchange.Response{Status: 200, Length: exchange.Unknown}
	x.Response.Fields.Add(exchange.Other, []byte("X-Path"), x.Request.Path)
	x.Response.Fields.Add(exchange.Other, []byte("X-Method"), x.Request.Method)
	if err := x.Client.WriteHead(&x.Response); err != nil {
		return err
	}
	buffer := make([]byte, 16<<10)
	for {
		n, err := x.Client.ReadBody(buffer)
		if n > 0 {
			if _, err := x.Client.WriteBody(buffer[:n]); err != nil {
				return err
			}
			if err := x.Client.Flush(); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return x.Client.End(x.Client.RequestTrailers())
		}
		if err != nil {
			x.Client.Abort()
			return err
		}
	}
}

// serveTest serves connections of a loopback listener until the test ends.
func serveTest(t testing.TB, config h2.Config, secure *tls.Config) (address string, server *h2.Server) {
	t.Helper()
	server = h2.NewServer(config)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			if secure != nil {
				nc = tls.Server(nc, secure)
			}
			group.Go(func() {
				if secure != nil && nc.(*tls.Conn).HandshakeContext(ctx) != nil {
					return
				}
				server.Serve(ctx, nc, nil, nil)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		cancel()
		group.Wait()
		server.Close()
	})
	return listener.Addr().String(), server
}

func plainClient(t testing.TB) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func TestBodiesGoBothWays(t *testing.T) {
	address, _ := serveTest(t, h2.Config{Handler: handlerFunc(echo)}, nil)
	client := plainClient(t)
	for _, size := range []int{0, 1, 100, 16 << 10, 1 << 20, 5 << 20} {
		body := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		response, err := client.Post("http://"+address+"/a?b=c", "text/plain", bytes.NewReader(body))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		got, err := io.ReadAll(response.Body)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes: got %d, %v", size, len(got), err)
		}
		if path := response.Header.Get("X-Path"); path != "/a" {
			t.Errorf("path is %q", path)
		}
	}
}

// TestH2spec runs the conformance suite of others, where H2SPEC names it.
func TestH2spec(t *testing.T) {
	binary := os.Getenv("H2SPEC")
	if binary == "" {
		t.Skip("H2SPEC does not name the binary of github.com/summerwind/h2spec") //nolint:forbidigo // make conformance gives it
	}
	answer := handlerFunc(func(_ context.Context, x *exchange.Exchange) error {
		buffer := make([]byte, 16<<10)
		for {
			if _, err := x.Client.ReadBody(buffer); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				x.Client.Abort()
				return err
			}
		}
		x.Response = exchange.Response{Status: 200, Length: 5}
		if err := x.Client.WriteHead(&x.Response); err != nil {
			return err
		}
		if _, err := x.Client.WriteBody([]byte("hello")); err != nil {
			return err
		}
		return x.Client.End(nil)
	})
	address, _ := serveTest(t, h2.Config{Handler: answer}, nil)
	host, port, _ := net.SplitHostPort(address)
	out, err := exec.CommandContext(t.Context(), binary, "-h", host, "-p", port, "-o", "1").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "146 passed") {
		t.Errorf("h2spec: %v\n%s", err, out)
	}
}
