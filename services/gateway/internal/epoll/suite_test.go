package epoll_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSmallRequestsShareConnections(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		c := g.dial(t)
		for i := range 100 {
			c.send(fmt.Sprintf("GET /echo/%d?q HTTP/1.1\r\nHost: shop\r\n\r\n", i))
			if r := c.expect("GET", 200, fmt.Sprintf("GET /echo/%d?q 0", i)); r.Header.Get("X-Host") != "shop" || r.Header.Get("X-Request-Id") == "" || r.Header.Get("Date") == "" {
				t.Fatalf("header: %v", r.Header)
			}
		}
		if n := g.origin.conns.Load(); n != 1 {
			t.Errorf("%d connections to the origin, want 1", n)
		}
		if g.loops != nil {
			eventually(t, "a loop has the connection", func() bool { return g.loops.Counts().Idle == 1 })
		}
	})
}

func TestPipelinedAndTrickledRequests(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		c := g.dial(t)
		c.send("GET /echo/1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcHEAD /echo/3 HTTP/1.1\r\nHost: a\r\n\r\nGET /gone HTTP/1.1\r\nHost: a\r\n\r\nGET /echo/4 HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect("GET", 200, "GET /echo/1 0")
		c.expect("POST", 200, "POST /echo/2 3")
		c.expect("HEAD", 200, "")
		c.expect("GET", 410, "gone")
		c.expect("GET", 200, "GET /echo/4 0")
		text := "POST /echo/5 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
		for i := range len(text) {
			c.send(text[i : i+1])
		}
		c.expect("POST", 200, "POST /echo/5 5")
	})
}

func TestBodiesOfRequests(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		for _, n := range []int{0, 1, 1000, 15000, 17000, 70000, 1 << 20} {
			body := string(content(n))
			c := g.dial(t)
			c.send(fmt.Sprintf("POST /echo/a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", n))
			c.send(body)
			c.expect("POST", 200, fmt.Sprintf("POST /echo/a %d", n))
			c.send(fmt.Sprintf("PUT /echo/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", max(n, 1), body+strings.Repeat("x", max(0, 1-n))))
			c.send("0\r\n\r\n")
			c.expect("PUT", 200, fmt.Sprintf("PUT /echo/b %d", max(n, 1)))
			c.send(fmt.Sprintf("POST /echo/c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", n))
			if n > 0 {
				c.expect("POST", 100, "")
			}
			c.send(body)
			c.expect("POST", 200, fmt.Sprintf("POST /echo/c %d", n))
			c.send("GET /echo/d HTTP/1.1\r\nHost: a\r\n\r\n")
			c.expect("GET", 200, "GET /echo/d 0")
		}
	})
}

func TestMalformedRequestsAreAnsweredAndClosed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		malformed := map[string]int{
			"GET / HTTP/1.1\r\n\r\n":                       400,
			"GET /\r\n":                                    400,
			"GET / HTTP/1.1\nHost: a\n\n":                  400,
			"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": 400,
			"GET / HTTP/2.0\r\nHost: a\r\n\r\n":            505,
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n": 400,
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n":                501,
			"GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: a\r\n\r\n":                    414,
			"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 70000) + "\r\n\r\n":            431,
			"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n":           400,
			"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n":                    413,
		}
		for text, status := range malformed {
			c := g.dial(t)
			c.send("GET /echo/1 HTTP/1.1\r\nHost: a\r\n\r\n")
			c.expect("GET", 200, "")
			c.send(text)
			if r := c.expect("GET", status, "code"); !r.Close {
				t.Errorf("%.40q: not closed", text)
			}
			c.ended()
		}
		if n := g.gauge("backlot_gateway_requests_total"); n != float64(2*len(malformed)) {
			t.Errorf("%v requests are counted of %d", n, 2*len(malformed))
		}
	})
}

func TestTimeoutsOfClients(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		for name, test := range map[string]struct {
			text   string
			status int
		}{
			"silent": {"", 0}, "half a head": {"GET / HTTP/1.1\r\nHo", 408},
			"half a small body": {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab", 408},
			"idle":              {"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", 200},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := g.dial(t)
				began := time.Now()
				c.send(test.text)
				if test.status != 0 {
					c.expect("GET", test.status, "")
				}
				c.ended()
				if took := time.Since(began); took < 1500*time.Millisecond || took > 15*time.Second {
					t.Errorf("closed after %v", took)
				}
			})
		}
	})
}

func TestFaultsOfEndpoints(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		c := g.dial(t)
		for _, test := range []struct {
			path   string
			status int
			retry  bool
		}{
			{"/nobody", 503, true}, {"/dead", 502, false}, {"/drop", 502, false}, {"/garbage", 502, false}, {"/short", 504, false},
		} {
			c.send("GET " + test.path + " HTTP/1.1\r\nHost: a\r\n\r\n")
			if r := c.expect("GET", test.status, "code"); test.retry != (r.Header.Get("Retry-After") != "") {
				t.Errorf("%s: header %v", test.path, r.Header)
			}
		}
		for range 20 { // an endpoint that is not there costs nobody anything
			c.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
			c.expect("GET", 200, "GET /echo")
		}
		for range 5 { // a kept connection that was closed meanwhile
			c.send("GET /stale HTTP/1.1\r\nHost: a\r\n\r\n")
			c.expect("GET", 200, "0")
		}
		c.send("GET /extra HTTP/1.1\r\nHost: a\r\n\r\nGET /echo/after HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect("GET", 200, "ok")
		c.expect("GET", 200, "GET /echo/after")
		for _, path := range []string{"/cut/100000", "/cut/100", "/cutchunk"} {
			c := g.dial(t)
			c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
			if _, body, err := c.answer("GET"); err == nil {
				t.Errorf("%s: a broken answer looks whole: %d bytes", path, len(body))
			}
		}
	})
}

func TestBoundsOfClusters(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		config := g.build()
		for i := range config.Hosts[0].Routes {
			if r := &config.Hosts[0].Routes[i]; r.Name == "full" || r.Name == "narrow" {
				r.PrefixRewrite = "/wait"
			}
		}
		g.swap(config)
		first := g.dial(t)
		first.send("GET /full HTTP/1.1\r\nHost: a\r\n\r\n")
		eventually(t, "the first is on its way", func() bool { return g.origin.conns.Load() == 1 })
		eventually(t, "the second request is refused", func() bool {
			c := g.dial(t)
			c.send("GET /full HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			r, _, err := c.answer("GET")
			return err == nil && r.StatusCode == http.StatusServiceUnavailable
		})
		// One connection: the others wait for it.
		var clients []*client
		for range 5 {
			c := g.dial(t)
			c.send("GET /narrow HTTP/1.1\r\nHost: a\r\n\r\n")
			clients = append(clients, c)
		}
		<-time.After(50 * time.Millisecond)
		close(g.origin.release)
		first.expect("GET", 200, "ok")
		for _, c := range clients {
			c.expect("GET", 200, "ok")
		}
	})
}

func TestNamesAreLookedUp(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		c := g.dial(t)
		for range 10 {
			c.send("GET /named HTTP/1.1\r\nHost: a\r\n\r\n")
			c.expect("GET", 200, "GET /echo")
		}
	})
}

func TestSlowClientsHoldBackTheirEndpointOnly(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		slow, fast := g.dial(t), g.dial(t)
		slow.send("GET /bytes/8388608 HTTP/1.1\r\nHost: a\r\n\r\n")
		for range 20 {
			fast.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
			fast.expect("GET", 200, "GET /echo")
		}
		body := make([]byte, 0, 9<<20)
		buffer := make([]byte, 1<<20)
		for len(body) < 8<<20 {
			n, err := slow.reader.Read(buffer)
			if err != nil {
				t.Fatalf("after %d bytes: %v", len(body), err)
			}
			body = append(body, buffer[:n]...)
			if len(body)%(2<<20) < n {
				<-time.After(50 * time.Millisecond)
			}
		}
		if !bytes.Contains(body, content(8<<20)) {
			t.Error("the body is another")
		}
		// One that takes nothing for too long is cut off, and its endpoint let go.
		stuck := g.dial(t)
		stuck.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
		eventually(t, "the endless answer is given up", func() bool {
			g.origin.mu.Lock()
			defer g.origin.mu.Unlock()
			return g.origin.closed["endless"] == 1
		})
	})
}

func TestClientsThatGo(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		half := g.dial(t)
		half.send("GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n")
		if err := half.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		half.expect("GET", 200, "")
		half.ended()
		for _, path := range []string{"/never", "/endless"} {
			c := g.dial(t)
			c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
			if path == "/endless" {
				_, _ = c.reader.Peek(100)
			} else {
				g.origin.arrived(t, "never")
			}
			_ = c.Close()
			eventually(t, path+" is let go", func() bool {
				g.origin.mu.Lock()
				defer g.origin.mu.Unlock()
				return g.origin.closed[path[1:]] == 1
			})
		}
	})
}

func TestUpgradesAndHTTP2AreHandedOver(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		c := g.dial(t)
		c.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
		c.expect("GET", 200, "GET /echo")
		c.expect("GET", 101, "")
		c.send("second")
		if got := make([]byte, 11); true {
			if _, err := io.ReadFull(c.reader, got); err != nil || string(got) != "firstsecond" {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		c = g.dial(t)
		c.send(preface[:5])
		<-time.After(20 * time.Millisecond)
		c.send(preface[5:])
		if got, err := io.ReadAll(c.reader); err != nil || string(got) != preface || g.http2.Load() != 1 {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestSwapsDropNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				c := g.dial(t)
				for i := 0; ctx.Err() == nil; i++ {
					path := []string{"/echo/1", "/bytes/100000", "/gone", "/chunks/30000"}[i%4]
					if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
						t.Error(err)
						return
					}
					if r, _, err := c.answer("GET"); err != nil || r.StatusCode >= 500 {
						t.Errorf("%s: %v %v", path, r, err)
						return
					}
				}
			})
		}
		for range 100 {
			g.swap(g.build())
			<-time.After(2 * time.Millisecond)
		}
		cancel()
		clients.Wait()
	})
}

func TestDrainEndsConnectionsAfterTheirAnswers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		idle, busy, next := g.dial(t), g.dial(t), g.dial(t)
		for _, c := range []*client{idle, busy, next} {
			c.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
			c.expect("GET", 200, "")
		}
		busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
		g.origin.arrived(t, "wait")
		drained := make(chan error)
		go func() { drained <- g.server.Drain(t.Context()) }()
		eventually(t, "it drains", g.server.Draining)
		next.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
		if r := next.expect("GET", 200, ""); !r.Close {
			t.Error("an answer while draining keeps its connection")
		}
		next.ended()
		idle.ended()
		select {
		case err := <-drained:
			t.Fatalf("drained with a request under way: %v", err)
		default:
		}
		close(g.origin.release)
		if r := busy.expect("GET", 200, "ok"); !r.Close {
			t.Error("not closed")
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if nc, err := net.Dial("tcp", g.address); err == nil {
			_ = nc.Close()
			t.Error("still listening")
		}
	})
}

// TestChurn kills and restarts everything at once: what is left in the end is
// nothing.
func TestChurn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		paths := []string{"/echo/1", "/bytes/200000", "/chunks/50000", "/close/40000", "/cut/90000", "/drop", "/stale", "/half", "/dead", "/garbage", "/extra"}
		var clients sync.WaitGroup
		for i := range 16 {
			clients.Go(func() {
				for j := range 60 {
					c := g.dial(t)
					path := paths[(i+j)%len(paths)]
					if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
						t.Error(err)
					}
					if j%3 == 0 { // goes without its answer
						_ = c.Close()
						continue
					}
					r, err := http.ReadResponse(c.reader, nil)
					if err != nil {
						if path != "/cut/90000" {
							t.Errorf("%s: %v", path, err)
						}
						continue
					}
					_, _ = io.Copy(io.Discard, r.Body)
					_ = c.Close()
				}
			})
		}
		clients.Wait()
		c := g.dial(t)
		c.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect("GET", 200, "GET /echo")
		_ = c.Close()
		if err := g.server.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		eventually(t, "nothing is in flight", func() bool { return g.gauge("backlot_gateway_in_flight_requests") == 0 })
	})
}
