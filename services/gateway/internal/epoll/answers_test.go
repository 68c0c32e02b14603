package epoll_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
)

func TestBodiesOfAnswers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		c := g.dial(t)
		for _, n := range []int{0, 1, 128, 5000, 16000, 16 << 10, 40000, 1 << 20, 8 << 20} {
			for _, kind := range []string{"bytes", "chunks", "close"} {
				c.send(fmt.Sprintf("GET /%s/%d HTTP/1.1\r\nHost: a\r\n\r\n", kind, n))
				r, body, err := c.answer("GET")
				if err != nil || !bytes.Equal(body, content(n)) {
					t.Fatalf("%s of %d: %d bytes, %v", kind, n, len(body), err)
				}
				if kind == "chunks" && r.Trailer.Get("X-Sum") != "1" {
					t.Errorf("%s of %d: trailers %v", kind, n, r.Trailer)
				}
			}
		}
	})
}

// TestAnswersAboutABuffer: what does not fit beside the answer's head into what
// is sent at once goes out although nothing more comes from the endpoint.
func TestAnswersAboutABuffer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		c := g.dial(t)
		for n := 16<<10 - 500; n < 16<<10+100; n += 7 {
			for _, kind := range []string{"chunk", "bytes"} {
				c.send(fmt.Sprintf("GET /%s/%d HTTP/1.1\r\nHost: a\r\n\r\n", kind, n))
				if _, body, err := c.answer("GET"); err != nil || !bytes.Equal(body, content(n)) {
					t.Fatalf("%s of %d: %d bytes, %v", kind, n, len(body), err)
				}
			}
		}
		if n := g.origin.conns.Load(); n != 1 {
			t.Errorf("%d connections to the origin, want 1", n)
		}
	})
}

// TestLargeAnswersShareConnections: those that the kernel moves too.
func TestLargeAnswersShareConnections(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		c := g.dial(t)
		for range 20 {
			c.send("GET /bytes/300000 HTTP/1.1\r\nHost: a\r\n\r\n")
			if _, body, err := c.answer("GET"); err != nil || !bytes.Equal(body, content(300000)) {
				t.Fatalf("%d bytes, %v", len(body), err)
			}
		}
		if n := g.origin.conns.Load(); n != 1 {
			t.Errorf("%d connections to the origin, want 1", n)
		}
	})
}

func TestPausesInAnswers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		for _, n := range []int{100, 10000, 100000, 1 << 20} {
			c := g.dial(t)
			c.send(fmt.Sprintf("GET /patient/%d HTTP/1.1\r\nHost: a\r\n\r\n", n))
			if _, body, err := c.answer("GET"); err != nil || !bytes.Equal(body, content(n)) {
				t.Errorf("%d: %d bytes, %v", n, len(body), err)
			}
		}
	})
}

// TestLargeAnswersKeepNothingBack: what has come of one is passed on, however
// little it is, though nothing more comes.
func TestLargeAnswersKeepNothingBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		const n = 4 << 20
		c := g.dial(t)
		c.send(fmt.Sprintf("GET /steps/%d HTTP/1.1\r\nHost: a\r\n\r\n", n))
		answer, err := http.ReadResponse(c.reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for i, size := range []int{n / 2, little, n/2 - little} {
			if i > 0 {
				g.origin.step <- struct{}{}
			}
			part := make([]byte, size)
			if _, err := io.ReadFull(answer.Body, part); err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		if !bytes.Equal(got, content(n)) {
			t.Error("the body is another")
		}
	})
}

func TestAnswersForHTTP10(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		for _, kind := range []string{"bytes", "chunks", "close"} {
			c := g.dial(t)
			c.send(fmt.Sprintf("GET /%s/50000 HTTP/1.0\r\n\r\n", kind))
			r, body, err := c.answer("GET")
			if err != nil || !bytes.Equal(body, content(50000)) || len(r.TransferEncoding) > 0 {
				t.Fatalf("%s: %d bytes, %v, %v", kind, len(body), r, err)
			}
			c.ended()
		}
		c := g.dial(t)
		for range 2 {
			c.send("GET /bytes/5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
			if r := c.expect("GET", 200, string(content(5))); r.Header.Get("Connection") != "keep-alive" {
				t.Errorf("header: %v", r.Header)
			}
		}
		c.send("GET /hints HTTP/1.0\r\n\r\n")
		c.expect("GET", 200, "ok")
		c.ended()
	})
}

func TestAnswersWithoutBody(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		c := g.dial(t)
		for _, status := range []int{204, 304, 404, 500} {
			c.send(fmt.Sprintf("GET /status/%d HTTP/1.1\r\nHost: a\r\n\r\n", status))
			c.expect("GET", status, "")
		}
		c.send("HEAD /echo/1 HTTP/1.1\r\nHost: a\r\n\r\n")
		if r := c.expect("HEAD", 200, ""); r.ContentLength != 99 {
			t.Errorf("length %d", r.ContentLength)
		}
		c.send("HEAD /gone HTTP/1.1\r\nHost: a\r\n\r\nGET /hints HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect("HEAD", 410, "")
		if r := c.expect("GET", 103, ""); r.Header.Get("Link") != "</a>" {
			t.Errorf("hints: %v", r.Header)
		}
		c.expect("GET", 200, "ok")
	})
}
