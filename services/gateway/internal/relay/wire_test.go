package relay_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// script is an upstream whose connections are served by a function.
func script(tb testing.TB, serve func(conn net.Conn, r *bufio.Reader)) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var conns sync.WaitGroup
	tb.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			conns.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(conn, bufio.NewReader(conn))
			})
		}
	})
	return l.Addr().String()
}

// head reads a request's head, false at the connection's end.
func head(r *bufio.Reader) (text string, ok bool) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return text, false
		}
		text += line
		if line == "\r\n" {
			return text, true
		}
	}
}

// visitor is a raw connection to the gateway.
type visitor struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func visit(t testing.TB, address string) *visitor {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return &visitor{conn, t, bufio.NewReader(conn)}
}

func (v *visitor) send(text string) {
	v.t.Helper()
	if _, err := io.WriteString(v.Conn, text); err != nil {
		v.t.Fatal(err)
	}
}

func (v *visitor) answer(method string) (*http.Response, string, error) {
	v.t.Helper()
	r, err := http.ReadResponse(v.r, &http.Request{Method: method})
	if err != nil {
		v.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	return r, string(body), err
}

const post = "POST /p HTTP/1.1\r\nHost: x\r\n"

func TestAnAnswerMayComeBeforeTheBody(t *testing.T) {
	address := gateway(t, plainConfig(script(t, func(conn net.Conn, r *bufio.Reader) {
		if _, ok := head(r); ok {
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
			_, _ = io.Copy(io.Discard, r)
		}
	})))
	v := visit(t, address)
	v.send(post + "Content-Length: 1000000\r\n\r\nstart")
	if r, body, err := v.answer("POST"); r.StatusCode != http.StatusRequestEntityTooLarge || body != "big" || !r.Close || err != nil {
		t.Errorf("got %d %q, close %v, %v", r.StatusCode, body, r.Close, err)
	}
}

func TestBodiesStreamBothWaysAtOnce(t *testing.T) {
	address := gateway(t, plainConfig(script(t, func(conn net.Conn, r *bufio.Reader) {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		buffer := make([]byte, 100)
		for {
			n, err := request.Body.Read(buffer)
			if n > 0 {
				_, _ = fmt.Fprintf(conn, "%x\r\n%s\r\n", n, buffer[:n])
			}
			if err != nil {
				break
			}
		}
		_, _ = fmt.Fprintf(conn, "0\r\nX-Sum: %s\r\n\r\n", request.Trailer.Get("X-Sum"))
	})))
	v := visit(t, address)
	v.send(post + "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
	r, err := http.ReadResponse(v.r, &http.Request{Method: http.MethodPost})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	for _, word := range []string{"hello", "there"} {
		v.send("5\r\n" + word + "\r\n")
		if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != word {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	v.send("0\r\nX-Sum: 10\r\n\r\n")
	if rest, err := io.ReadAll(r.Body); err != nil || len(rest) > 0 || r.Trailer.Get("X-Sum") != "10" {
		t.Errorf("rest %q, %v, trailers %v", rest, err, r.Trailer)
	}
}

func TestLongBodiesArriveWhole(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(body, content) {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content)
	}))
	defer upstream.Close()
	url := "http://" + gateway(t, plainConfig(upstream.Listener.Addr().String()))
	for name, body := range map[string]io.Reader{
		"of known length": bytes.NewReader(content), "in chunks": struct{ io.Reader }{bytes.NewReader(content)},
	} {
		response, err := http.Post(url, "x/y", body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !bytes.Equal(got, content) {
			t.Errorf("%s: %d, %d bytes, %v", name, response.StatusCode, len(got), err)
		}
	}
}

func TestALongBodyMayPause(t *testing.T) {
	half := strings.Repeat("x", 200<<10)
	address := gateway(t, plainConfig(script(t, func(conn net.Conn, r *bufio.Reader) {
		if _, ok := head(r); ok {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 2*len(half), half)
			<-time.After(700 * time.Millisecond) // longer than until anybody looks after it
			_, _ = io.WriteString(conn, half)
		}
	})))
	v := visit(t, address)
	v.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, body, err := v.answer("GET"); err != nil || len(body) != 2*len(half) {
		t.Errorf("got %d bytes, %v", len(body), err)
	}
}

func TestWhatMayHaveReachedAnUpstreamIsNotRepeated(t *testing.T) {
	for _, test := range []struct {
		method   string
		policy   edge.Policy
		tries    int32
		status   int
		statuses int
	}{
		{"POST", edge.Policy{MaxAttempts: 3}, 1, 502, 0},
		{"POST", edge.Policy{MaxAttempts: 3, Retry: &edge.Retry{Reset: true}}, 1, 502, 0},
		{"POST", edge.Policy{MaxAttempts: 3, Retry: &edge.Retry{Reset: true, NonIdempotent: true}}, 3, 502, 0},
		{"GET", edge.Policy{MaxAttempts: 3}, 1, 502, 0},
		{"GET", edge.Policy{MaxAttempts: 3, Retry: &edge.Retry{Reset: true}}, 3, 502, 0},
		{"GET", edge.Policy{MaxAttempts: 2, Retry: &edge.Retry{Statuses: []int{503}}}, 2, 503, 503},
		{"POST", edge.Policy{MaxAttempts: 2, Retry: &edge.Retry{Statuses: []int{503}}}, 1, 503, 503},
	} {
		t.Run(fmt.Sprintf("%s %+v", test.method, test.policy.Retry), func(t *testing.T) {
			var tries atomic.Int32
			config := plainConfig(script(t, func(conn net.Conn, r *bufio.Reader) {
				if _, ok := head(r); !ok {
					return
				}
				tries.Add(1)
				if test.statuses != 0 {
					_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", test.statuses)
				}
			}))
			test.policy.MaxRequest, test.policy.Timeout = 1<<20, 5*time.Second
			config.Hosts[0].Routes[0].Policy = test.policy
			cluster := config.Clusters["all"]
			cluster.MaxRetries, cluster.RetryBudget = 10, 1
			config.Clusters["all"] = cluster
			v := visit(t, gateway(t, config))
			v.send(test.method + " / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
			if r, body, _ := v.answer(test.method); r.StatusCode != test.status || tries.Load() != test.tries {
				t.Errorf("got %d %s after %d tries, want %d after %d", r.StatusCode, body, tries.Load(), test.status, test.tries)
			}
		})
	}
}

func TestAKeptConnectionThatWasClosedIsNoFailure(t *testing.T) {
	address := gateway(t, plainConfig(script(t, func(conn net.Conn, r *bufio.Reader) {
		if _, ok := head(r); ok { // one answer, then the end that nobody was told of
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})))
	v := visit(t, address)
	for range 20 {
		v.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if r, body, err := v.answer("GET"); r.StatusCode != http.StatusOK || body != "ok" || err != nil {
			t.Fatalf("got %d %q, %v", r.StatusCode, body, err)
		}
	}
}

func TestAnAnswerThatBreaksOffIsSeenAsBroken(t *testing.T) {
	for name, answer := range map[string]string{
		"of known length": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"in chunks":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"malformed chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz",
	} {
		address := gateway(t, plainConfig(script(t, func(conn net.Conn, r *bufio.Reader) {
			if _, ok := head(r); ok {
				_, _ = io.WriteString(conn, answer)
			}
		})))
		v := visit(t, address)
		v.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if r, err := http.ReadResponse(v.r, &http.Request{Method: http.MethodGet}); err == nil {
			if body, err := io.ReadAll(r.Body); err == nil {
				t.Errorf("%s: got the whole of %q", name, body)
			}
		}
	}
}

func TestAMalformedAnswerIsABadGateway(t *testing.T) {
	for _, answer := range []string{
		"hello\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "",
	} {
		address := gateway(t, plainConfig(script(t, func(conn net.Conn, r *bufio.Reader) {
			if _, ok := head(r); ok {
				_, _ = io.WriteString(conn, answer)
			}
		})))
		v := visit(t, address)
		v.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if r, body, _ := v.answer("GET"); r.StatusCode != http.StatusBadGateway || !strings.Contains(body, "could not be reached") {
			t.Errorf("%q: got %d %s", answer, r.StatusCode, body)
		}
	}
}

func TestAMalformedBodyIsToldAndDoesNotReachTheUpstreamWhole(t *testing.T) {
	whole := make(chan bool, 1)
	address := gateway(t, plainConfig(script(t, func(_ net.Conn, r *bufio.Reader) {
		if request, err := http.ReadRequest(r); err == nil {
			_, err = io.ReadAll(request.Body)
			whole <- err == nil
		}
	})))
	v := visit(t, address)
	v.send(post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n")
	if r, _, _ := v.answer("POST"); r.StatusCode != http.StatusBadRequest || !r.Close {
		t.Errorf("got %d, close %v", r.StatusCode, r.Close)
	}
	if <-whole {
		t.Error("the upstream took the body for whole")
	}
}

func TestABodyBeyondTheLimitIsRefused(t *testing.T) {
	config := plainConfig(script(t, func(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }))
	config.Hosts[0].Routes[0].Policy.MaxRequest = 10
	v := visit(t, gateway(t, config))
	v.send(post + "Transfer-Encoding: chunked\r\n\r\n20\r\n" + strings.Repeat("x", 32) + "\r\n0\r\n\r\n")
	if r, body, _ := v.answer("POST"); r.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(body, "10 bytes") {
		t.Errorf("got %d %s", r.StatusCode, body)
	}
}

func TestInterimAnswersArePassedOn(t *testing.T) {
	address := gateway(t, plainConfig(script(t, func(conn net.Conn, r *bufio.Reader) {
		if _, ok := head(r); ok {
			_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
		}
	})))
	v := visit(t, address)
	v.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, want := range []int{103, 204} {
		if r, _, err := v.answer("GET"); r.StatusCode != want || err != nil {
			t.Errorf("got %d, %v, want %d", r.StatusCode, err, want)
		}
	}
}

func TestUpgradesCarryBytesBothWaysThroughSwaps(t *testing.T) {
	config := plainConfig(script(t, func(conn net.Conn, r *bufio.Reader) {
		if text, ok := head(r); !ok || !strings.Contains(text, "Upgrade: echo\r\n") {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ")
		_, _ = io.Copy(conn, r)
	}))
	r, address := gatewayOf(t, config)
	v := visit(t, address)
	v.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst")
	if answer, err := http.ReadResponse(v.r, &http.Request{Method: http.MethodGet}); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", answer, err)
	}
	want := "hello first"
	for i := range 5 {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(v.r, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
		if err := r.Swap(plainConfig(config.Clusters["all"].Endpoints[0].Address)); err != nil {
			t.Fatal(err)
		}
		want = fmt.Sprintf("swap %d", i)
		v.send(want)
	}
	_ = v.Conn.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(v.r); err != nil || string(rest) != want {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestAClientThatGoesIsLetGoOf(t *testing.T) {
	gone := make(chan struct{})
	v := visit(t, gateway(t, plainConfig(script(t, func(_ net.Conn, r *bufio.Reader) {
		_, _ = io.Copy(io.Discard, r) // ends with the gateway's connection
		close(gone)
	}))))
	v.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = v.Close()
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("the upstream is still waited for")
	}
}

func TestSplitsAreStickyByKey(t *testing.T) {
	config := plainConfig(backend(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"))
	config.Clusters["b"] = edge.Cluster{Name: "b", Endpoints: []edge.Endpoint{{Address: backend(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")}}, MaxRequests: 8, MaxConnections: 8}
	one := &config.Hosts[0].Routes[0]
	one.Cluster, one.Split = "", []edge.WeightedCluster{{Cluster: "all", Weight: 50}, {Cluster: "b", Weight: 50}}
	one.Policy.Hash = []edge.HashKey{{Cookie: "user"}}
	v := visit(t, gateway(t, config))
	seen := map[string]int{}
	for i := range 40 {
		first := ""
		for range 3 {
			v.send(fmt.Sprintf("GET / HTTP/1.1\r\nHost: x\r\nCookie: a=b; user=%d\r\n\r\n", i))
			_, body, _ := v.answer("GET")
			if first == "" {
				first = body
			}
			if body != first {
				t.Fatalf("user %d got %q and then %q", i, first, body)
			}
		}
		seen[first]++
	}
	if seen["a"] < 8 || seen["b"] < 8 {
		t.Errorf("the split is %v", seen)
	}
}

func TestRedirectsAndFixedAnswers(t *testing.T) {
	config := plainConfig(backend(t, smallAnswer))
	policy := config.Hosts[0].Routes[0].Policy
	config.Hosts[0].Routes = append([]edge.Route{
		{Name: "moved", Path: "/old/", Target: edge.ToRedirect, Policy: policy, Redirect: &edge.Redirect{Status: 308, Scheme: "https", Port: 8443, PrefixRewrite: "/new/"}},
		{Name: "robots", Path: "/robots.txt", Exact: true, Target: edge.ToAnswer, Policy: policy, Answer: &edge.Answer{Status: 200, ContentType: "text/plain", Body: []byte("none")}},
	}, config.Hosts[0].Routes...)
	v := visit(t, gateway(t, config))
	v.send("GET /old/x?q=1 HTTP/1.1\r\nHost: a.example:80\r\n\r\n")
	if r, _, _ := v.answer("GET"); r.StatusCode != http.StatusPermanentRedirect || r.Header.Get("Location") != "https://a.example:8443/new/x?q=1" {
		t.Errorf("got %d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	v.send("GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\nHEAD /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, body, _ := v.answer("GET"); r.StatusCode != http.StatusOK || body != "none" || r.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	if r, _, _ := v.answer("HEAD"); r.ContentLength != 4 {
		t.Errorf("HEAD says %d bytes", r.ContentLength)
	}
}

func TestASlowRequestIsHedged(t *testing.T) {
	var first atomic.Bool
	slow := make(chan struct{})
	serve := func(conn net.Conn, r *bufio.Reader) {
		if _, ok := head(r); !ok {
			return
		}
		if !first.Swap(true) {
			_, _ = r.ReadByte() // until the gateway cuts it off
			close(slow)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
	config := plainConfig(script(t, serve))
	cluster := config.Clusters["all"]
	cluster.Endpoints = append(cluster.Endpoints, edge.Endpoint{Address: script(t, serve)})
	cluster.MaxRetries, cluster.RetryBudget = 8, 1
	config.Clusters["all"] = cluster
	config.Hosts[0].Routes[0].Policy.Hedge = &edge.Hedge{After: 20 * time.Millisecond, Max: 1}
	v := visit(t, gateway(t, config))
	v.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, body, err := v.answer("GET"); r.StatusCode != http.StatusOK || body != "ok" || err != nil {
		t.Fatalf("got %d %q, %v", r.StatusCode, body, err)
	}
	<-slow
	v.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, body, _ := v.answer("GET"); body != "ok" {
		t.Errorf("then: %q", body)
	}
}

func TestMirrorsGetCopies(t *testing.T) {
	copies := make(chan string, 1)
	mirror := script(t, func(conn net.Conn, r *bufio.Reader) {
		if request, err := http.ReadRequest(r); err == nil {
			body, _ := io.ReadAll(request.Body)
			copies <- request.Method + " " + request.URL.Path + " " + string(body)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer upstream.Close()
	config := plainConfig(upstream.Listener.Addr().String())
	config.Clusters["copy"] = edge.Cluster{Name: "copy", Endpoints: []edge.Endpoint{{Address: mirror}}, MaxRequests: 8, MaxConnections: 8}
	config.Hosts[0].Routes[0].Mirrors = []edge.Mirror{{Cluster: "copy", PartsPerMillion: 1e6}}
	v := visit(t, gateway(t, config))
	v.send(post + "Content-Length: 4\r\n\r\nbody")
	if _, body, _ := v.answer("POST"); body != "body" {
		t.Errorf("got %q", body)
	}
	if got := <-copies; got != "POST /p body" {
		t.Errorf("the mirror got %q", got)
	}
}
