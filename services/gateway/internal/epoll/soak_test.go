package epoll_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// patience is how long a busy machine may take over an answer; shorter than a
// policy's timeout, which would end a wait that nobody looks after.
const patience = 20 * time.Second

// TestManyConnections has more connections than one batch of a loop's has
// turns.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, g *gateway) {
		var clients sync.WaitGroup
		for range 64 {
			clients.Go(func() {
				c := g.dial(t)
				for i := range 100 {
					_ = c.SetDeadline(time.Now().Add(patience))
					if _, err := io.WriteString(c, "GET /bytes/128 HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
						t.Error(err)
						return
					}
					r, body, err := c.answer("GET")
					if err != nil || r.StatusCode != http.StatusOK || len(body) != 128 {
						t.Errorf("request %d: %v %v, %d bytes", i, r, err, len(body))
						return
					}
				}
			})
		}
		clients.Wait()
	})
}

// TestSoak lasts as long as BACKLOT_SOAK says (a duration; a second): clients of every
// kind, while endpoints are killed and restarted and configurations swapped.
// Nobody waits longer than patience, and in the end nothing is left.
func TestSoak(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("BACKLOT_SOAK"))
	if err != nil {
		lasts = time.Second
	}
	for _, name := range engines() {
		t.Run(name, func(t *testing.T) { soak(t, newGateway(t, name), lasts) })
	}
}

func soak(t *testing.T, g *gateway, lasts time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	runtime.GC()
	goroutines, files, heap := runtime.NumGoroutine(), openFiles(t), heapBytes()
	var work sync.WaitGroup
	var whole, broken, refused atomic.Int64
	victims := [2]*victim{newVictim(t), newVictim(t)}
	configure := func() *edge.Config {
		config := g.build()
		c := config.Clusters["half"]
		c.Endpoints = []edge.Endpoint{{Address: g.origin.address}, {Address: victims[0].address}, {Address: victims[1].address}}
		config.Clusters["half"] = c
		return config
	}
	g.swap(configure())
	paths := []string{"/half", "/bytes/128", "/bytes/300000", "/chunks/60000", "/close/20000", "/gone", "/hints", "/stale", "/cut/200000", "/drop", "/extra", "/named"}
	for i := range 48 {
		work.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				switch err := visit(ctx, t, g, paths, i*7+n*5, 1+(i+n)%40); {
				case err == nil:
					whole.Add(1)
				case errors.Is(err, errRefused):
					refused.Add(1)
				default:
					broken.Add(1)
				}
			}
		})
	}
	for i, v := range victims {
		work.Go(func() { v.suffer(ctx, time.Duration(300+200*i)*time.Millisecond) })
	}
	for ctx.Err() == nil {
		<-time.After(100 * time.Millisecond)
		g.swap(configure())
	}
	work.Wait()
	t.Logf("%d visits whole, %d ended by what they asked for, %d refused", whole.Load(), broken.Load(), refused.Load())
	for _, v := range victims {
		v.die()
	}
	g.swap(&edge.Config{Release: "empty", Hosts: g.build().Hosts[:0]})
	eventually(t, "nothing is left", func() bool {
		return runtime.NumGoroutine() <= goroutines+2 && openFiles(t) <= files+70 && g.gauge("backlot_gateway_in_flight_requests") == 0
	})
	runtime.GC()
	t.Logf("goroutines %d -> %d, files %d -> %d, heap %d -> %d KiB", goroutines, runtime.NumGoroutine(), files, openFiles(t), heap>>10, heapBytes()>>10)
	if grown := heapBytes() - heap; grown > 32<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

var errRefused = errors.New("refused")

// visit sends some requests over one connection. Stalls are the test's fault;
// other errors are what was asked for.
func visit(ctx context.Context, t *testing.T, g *gateway, paths []string, seed, requests int) error {
	nc, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Error(err)
		return err
	}
	defer func() { _ = nc.Close() }()
	c := &client{t: t, Conn: nc}
	c.reader = newReader(nc)
	for i := range requests {
		path := paths[(seed+i)%len(paths)]
		_ = nc.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(nc, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		if (seed+i)%97 == 0 { // goes without its answer
			return nil
		}
		status, err := c.skip()
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%s: no answer for %v", path, patience)
		}
		if err != nil {
			return err
		}
		if status >= 500 && path != "/drop" {
			return errRefused
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// skip reads an answer and throws it away.
func (c *client) skip() (status int, err error) {
	for {
		r, err := http.ReadResponse(c.reader, nil)
		if err != nil {
			return 0, err
		}
		if r.StatusCode < 200 {
			continue
		}
		_, err = io.Copy(io.Discard, r.Body)
		return r.StatusCode, err
	}
}

// victim is an endpoint that dies and comes back.
type victim struct {
	address string
	mu      sync.Mutex
	server  *http.Server
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{address: listener.Addr().String()}
	v.serve(listener)
	t.Cleanup(v.die)
	return v
}

func (v *victim) serve(listener net.Listener) {
	v.mu.Lock()
	defer v.mu.Unlock()
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(content(2000))
	})}
	v.server = server
	go func() { _ = server.Serve(listener) }()
}

func (v *victim) die() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.server != nil {
		_ = v.server.Close()
		v.server = nil
	}
}

func (v *victim) suffer(ctx context.Context, every time.Duration) {
	for ctx.Err() == nil {
		<-time.After(every)
		v.die()
		<-time.After(every / 3)
		if listener, err := net.Listen("tcp", v.address); err == nil {
			v.serve(listener)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
