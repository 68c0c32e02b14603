package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/engine"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// handler serves exchanges by a function.
type handler func(ctx context.Context, x *exchange.Exchange) error

// Serve implements exchange.Handler.
func (h handler) Serve(ctx context.Context, x *exchange.Exchange) error { return h(ctx, x) }

// answer sends a whole answer of known length.
func answer(x *exchange.Exchange, status int, body string) error {
	x.Response = exchange.Response{Status: status, Length: int64(len(body)), Fields: x.Response.Fields[:0]}
	if err := x.Client.WriteHead(&x.Response); err != nil {
		return err
	}
	if !x.Response.NoBody && body != "" {
		if _, err := x.Client.WriteBody([]byte(body)); err != nil {
			return err
		}
	}
	return x.Client.End(nil)
}

// echo answers method, path and body.
func echo(_ context.Context, x *exchange.Exchange) error {
	body, err := readAll(x)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, exchange.ErrTooSlow) {
			status = http.StatusRequestTimeout
		}
		x.Request.ServerEnd = true
		return answer(x, status, err.Error())
	}
	text := fmt.Sprintf("%s %s [%s]", x.Request.Method, x.Request.Path, body)
	for _, f := range x.Client.RequestTrailers() {
		text += fmt.Sprintf(" %s=%s", f.Name, f.Value)
	}
	return answer(x, http.StatusOK, text)
}

func readAll(x *exchange.Exchange) (body []byte, err error) {
	buffer := make([]byte, 5)
	for {
		n, err := x.ReadBody(buffer)
		body = append(body, buffer[:n]...)
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return body, err
		}
	}
}

// serve starts a server on a loopback address.
func serve(t testing.TB, config engine.Config) (*engine.Server, string) {
	t.Helper()
	s := engine.New(config)
	t.Cleanup(s.Close)
	if err := s.SetListeners(t.Context(), []engine.Listener{{Address: "127.0.0.1:0"}}); err != nil {
		t.Fatal(err)
	}
	return s, s.Addresses()["127.0.0.1:0"].String()
}

// client is a raw connection.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return &client{conn, t, bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one answer to a request with this method.
func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatalf("body: %v", err)
	}
	return r, string(body)
}

// ended asserts that the server has closed the connection.
func (c *client) ended() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Errorf("the connection goes on: %q, %v", rest, err)
	}
}

func TestRequestsFollowOneAnotherOnAConnection(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(echo)})
	c := dial(t, address)
	for i := range 3 {
		c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i))
		if r, body := c.answer("GET"); r.StatusCode != http.StatusOK || body != fmt.Sprintf("GET /%d []", i) || r.Close {
			t.Fatalf("got %d %q", r.StatusCode, body)
		}
	}
	c.send("GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if r, _ := c.answer("GET"); !r.Close {
		t.Error("the answer does not say that the connection ends")
	}
	c.ended()
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(echo)})
	c := dial(t, address)
	c.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n4;x=y\r\nghij\r\n0\r\nX-Sum: 7\r\n\r\n" +
		"GET /c HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, want := range []string{"POST /a [abc]", "POST /b [defghij] X-Sum=7", "GET /c []"} {
		if _, body := c.answer("GET"); body != want {
			t.Errorf("got %q, want %q", body, want)
		}
	}
}

func TestARequestMayComeByteByByte(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(echo)})
	c := dial(t, address)
	for _, b := range []byte("POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n") {
		c.send(string(b))
	}
	if _, body := c.answer("POST"); body != "POST /p [hello]" {
		t.Errorf("got %q", body)
	}
}

func TestMalformedRequestsAreAnsweredAndTheConnectionClosed(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(echo), MaxHeader: 4 << 10})
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"not HTTP":               {"hello\r\n\r\n", 400},
		"no host":                {"GET / HTTP/1.1\r\n\r\n", 400},
		"two lengths":            {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		"length and chunks":      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		"header too large":       {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 8<<10) + "\r\n\r\n", 431},
		"HTTP/3.0":               {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
		"malformed chunk":        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		"HTTP/2 without support": {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, address)
			conn.send(c.text)
			if r, body := conn.answer("GET"); r.StatusCode != c.status || !r.Close {
				t.Errorf("got %d %s, close %v", r.StatusCode, body, r.Close)
			}
			conn.ended()
		})
	}
}

func TestContinueIsSentWhenTheBodyIsRead(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(echo)})
	c := dial(t, address)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	if line, _ := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", line)
	}
	_, _ = c.r.ReadString('\n')
	c.send("ab")
	if r, body := c.answer("POST"); body != "POST / [ab]" || r.Close {
		t.Errorf("got %q", body)
	}
}

func TestARefusedBodyThatWaitsEndsTheConnection(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(func(_ context.Context, x *exchange.Exchange) error {
		return answer(x, http.StatusForbidden, "no")
	})})
	c := dial(t, address)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	if r, body := c.answer("POST"); r.StatusCode != http.StatusForbidden || body != "no" || !r.Close {
		t.Errorf("got %d %q, close %v", r.StatusCode, body, r.Close)
	}
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	c.ended()
}

func TestAnUnreadBodyIsReadAwayOrEndsTheConnection(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(func(_ context.Context, x *exchange.Exchange) error {
		return answer(x, http.StatusForbidden, "no")
	})})
	c := dial(t, address)
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("x", 10000))
		if r, _ := c.answer("POST"); r.StatusCode != http.StatusForbidden || r.Close {
			t.Fatalf("got %d, close %v", r.StatusCode, r.Close)
		}
	}
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + strings.Repeat("x", 100000))
	if r, body := c.answer("POST"); r.StatusCode != http.StatusForbidden || !r.Close || body != "no" {
		t.Errorf("got %d %q, close %v", r.StatusCode, body, r.Close)
	}
}

func TestAnswersOfUnknownLength(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(func(_ context.Context, x *exchange.Exchange) error {
		x.Response = exchange.Response{Status: 200, Length: exchange.Unknown}
		if err := x.Client.WriteHead(&x.Response); err != nil {
			return err
		}
		for _, part := range []string{"one ", strings.Repeat("x", 20000), " two"} {
			if x.Response.NoBody {
				break
			}
			if _, err := x.Client.WriteBody([]byte(part)); err != nil {
				return err
			}
		}
		return x.Client.End(exchange.Fields{{Name: []byte("X-End"), Value: []byte("yes")}})
	})})
	want := "one " + strings.Repeat("x", 20000) + " two"
	c := dial(t, address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, body := c.answer("GET"); body != want || r.Trailer.Get("X-End") != "yes" || r.Close {
		t.Errorf("HTTP/1.1: %d bytes, trailers %v", len(body), r.Trailer)
	}
	c.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, body := c.answer("HEAD"); body != "" || r.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %q", body)
	}
	c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if r, body := c.answer("GET"); body != want || !r.Close {
		t.Errorf("HTTP/1.0: %d bytes", len(body))
	}
	c.ended()
}

func TestHTTP10IsKeptAliveOnRequest(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(echo)})
	c := dial(t, address)
	for range 2 {
		c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		if r, _ := c.answer("GET"); r.Header.Get("Connection") != "keep-alive" {
			t.Fatalf("header: %v", r.Header)
		}
	}
	c.send("GET / HTTP/1.0\r\n\r\n")
	c.answer("GET")
	c.ended()
}

func TestABrokenAnswerIsSeenAsBroken(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(func(_ context.Context, x *exchange.Exchange) error {
		x.Response = exchange.Response{Status: 200, Length: exchange.Unknown}
		_ = x.Client.WriteHead(&x.Response)
		_, _ = x.Client.WriteBody([]byte("half"))
		_ = x.Client.Flush()
		x.Client.Abort()
		return errors.New("broken")
	})})
	response, err := http.Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("got the whole of %q", body)
	}
}

func TestSlowClientsAreCut(t *testing.T) {
	const limit = 400 * time.Millisecond // of a client whose machine may be busy
	_, address := serve(t, engine.Config{Handler: handler(echo), HeaderTimeout: limit, BodyTimeout: limit, IdleTimeout: limit})
	head := dial(t, address)
	head.send("GET / HTTP/1.1\r\nHo")
	if r, _ := head.answer("GET"); r.StatusCode != http.StatusRequestTimeout {
		t.Errorf("slow head: %d", r.StatusCode)
	}
	body := dial(t, address)
	body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
	if r, _ := body.answer("GET"); r.StatusCode != http.StatusRequestTimeout || !r.Close {
		t.Errorf("slow body: %d", r.StatusCode)
	}
	silent := dial(t, address)
	silent.ended()
	idle := dial(t, address)
	idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	idle.answer("GET")
	idle.ended()
}

func TestAClientThatTakesNothingIsCut(t *testing.T) {
	cut := make(chan error, 1)
	_, address := serve(t, engine.Config{WriteTimeout: 50 * time.Millisecond, Handler: handler(func(_ context.Context, x *exchange.Exchange) error {
		x.Response = exchange.Response{Status: 200, Length: exchange.Unknown}
		_ = x.Client.WriteHead(&x.Response)
		for {
			if _, err := x.Client.WriteBody(make([]byte, 64<<10)); err != nil {
				cut <- err
				return err
			}
		}
	})})
	c := dial(t, address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-cut; !errors.Is(err, exchange.ErrTooSlow) {
		t.Errorf("err = %v", err)
	}
}

func TestTheContextEndsWhenTheClientGoes(t *testing.T) {
	gone := make(chan struct{})
	_, address := serve(t, engine.Config{Handler: handler(func(ctx context.Context, x *exchange.Exchange) error {
		<-ctx.Done()
		close(gone)
		return ctx.Err()
	})})
	c := dial(t, address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = c.Close()
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("nobody noticed")
	}
}

func TestAHalfClosedClientGetsItsAnswer(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(echo)})
	c := dial(t, address)
	c.send("GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	if _, body := c.answer("GET"); body != "GET /half []" {
		t.Errorf("got %q", body)
	}
	c.ended()
}

func TestUpgradeGivesTheConnectionAway(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(func(_ context.Context, x *exchange.Exchange) error {
		x.Response = exchange.Response{Status: 101, Upgrade: x.Request.Upgrade, Length: exchange.Unknown, NoBody: true}
		if err := x.Client.WriteHead(&x.Response); err != nil {
			return err
		}
		conn, err := x.Client.Upgrade()
		if err != nil {
			return err
		}
		_, err = io.CopyN(conn, conn, 8)
		return err
	})})
	c := dial(t, address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirs")
	r, err := http.ReadResponse(c.r, &http.Request{Method: http.MethodGet})
	if err != nil || r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Upgrade") != "echo" {
		t.Fatalf("%v, %v", r, err)
	}
	c.send("tnow")
	if got, err := io.ReadAll(c.r); string(got) != "firstnow" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestDrainEndsConnectionsWithTheirAnswers(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s, address := serve(t, engine.Config{Handler: handler(func(ctx context.Context, x *exchange.Exchange) error {
		if string(x.Request.Path) == "/slow" {
			close(begun)
			<-release
		}
		return echo(ctx, x)
	})})
	idle, busy := dial(t, address), dial(t, address)
	idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	idle.answer("GET")
	busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	drained := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go func() { drained <- s.Drain(ctx) }()
	idle.ended()
	close(release)
	if r, _ := busy.answer("GET"); !r.Close || r.StatusCode != http.StatusOK {
		t.Errorf("got %d, close %v", r.StatusCode, r.Close)
	}
	busy.ended()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("new connections are taken")
	}
}
