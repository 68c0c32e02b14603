package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// server accepts connections and echoes what comes, until the test ends.
type server struct {
	address string
	mu      sync.Mutex
	conns   []net.Conn
	closed  atomic.Int64 // connections that the other side ended
}

func serve(t *testing.T, network, address string) *server {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: listener.Addr().String()}
	if network == "unix" {
		s.address = "unix:" + address
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			running.Go(func() {
				if _, err := io.Copy(conn, conn); err == nil {
					s.closed.Add(1)
				}
				conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.cut()
		running.Wait()
	})
	return s
}

// cut closes all connections.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		conn.Close()
	}
}

// clock is one that tests set.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(c.offset.Load()))
}
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func one(t testing.TB, s *Set, c edge.Cluster) *Cluster {
	t.Helper()
	v, err := s.Build(map[string]edge.Cluster{"c": c}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v.Cluster("c")
}

func endpoints(addresses ...string) []edge.Endpoint {
	var all []edge.Endpoint
	for _, a := range addresses {
		all = append(all, edge.Endpoint{Address: a})
	}
	return all
}

// conn gets a connection and says something over it.
func conn(t *testing.T, e *Endpoint) *Conn {
	t.Helper()
	c, err := e.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadFull(c, c.Buf[:4]); err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	return c
}

func TestConnectionsAreUsedAgainTheLastKeptFirst(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		c := one(t, New(Config{}), edge.Cluster{Endpoints: endpoints(serve(t, network, address).address)})
		e := c.members[0].Endpoint
		a, b := conn(t, e), conn(t, e)
		if a.Reused || b.Reused {
			t.Error("a new connection is called reused")
		}
		b.SetReadDeadline(time.Unix(1, 0))
		a.Keep()
		b.Keep()
		if again := conn(t, e); again != b || !again.Reused {
			t.Error("the last one kept is not the first used, or not called reused")
		}
		if again := conn(t, e); again != a {
			t.Error("the other one is not used")
		}
		if reused := c.group.uses[1].Load(); reused != 2 {
			t.Errorf("%d reuses are counted, want 2", reused)
		}
		a.Close()
		a.Close()
		b.Close()
		if n := c.group.queue.open.Load(); n != 0 {
			t.Errorf("%d connections are counted at the end", n)
		}
	}
}

func TestWhatCannotBeUsedAgainIsClosed(t *testing.T) {
	now := &clock{}
	upstream := serve(t, "tcp", "127.0.0.1:0")
	set := New(Config{Clock: now.now})
	settings := edge.Cluster{Endpoints: endpoints(upstream.address), Pool: edge.Pool{MaxIdle: 2, IdleTimeout: time.Second, MaxUses: 3}}
	c := one(t, set, settings)
	e := c.members[0].Endpoint
	expect := func(what string, open, idle int) {
		t.Helper()
		if got := c.group.queue.open.Load(); got != int64(open) || e.idle.len() != idle {
			t.Errorf("%s: %d connections of which %d are kept, want %d and %d", what, got, e.idle.len(), open, idle)
		}
	}
	first, second, third := conn(t, e), conn(t, e), conn(t, e)
	first.Keep()
	second.Keep()
	third.Keep()
	expect("more than may be kept", 2, 2)

	now.advance(700 * time.Millisecond)
	conn(t, e).Keep()
	now.advance(700 * time.Millisecond)
	c.group.sweep(now.now())
	expect("idle too long", 1, 1)

	conn(t, e).Keep()
	expect("used three times", 0, 0)

	conn(t, e).Keep()
	now.advance(time.Second)
	if c := conn(t, e); c.Reused {
		t.Error("a connection is used after its idle time")
	} else {
		c.Keep()
	}
	upstream.cut()
	now.advance(lookAfter)
	waitFor(t, "the end to arrive", func() bool { c, _ := e.idle.take(now.now()); return c == nil })
	expect("closed by the other side", 0, 0)

	talkative := conn(t, e)
	if _, err := talkative.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	talkative.Keep()
	now.advance(lookAfter)
	waitFor(t, "bytes to arrive", func() bool {
		c, _ := e.idle.take(now.now())
		if c != nil {
			c.shelve()
			now.advance(lookAfter)
		}
		return c == nil
	})
	expect("bytes that nobody asked for", 0, 0)
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func TestRefusedConnectionIsADialError(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	c := one(t, New(Config{}), edge.Cluster{Endpoints: endpoints(listener.Addr().String())})
	_, err = c.members[0].Conn(t.Context())
	var dial *DialError
	if !errors.As(err, &dial) || dial.Address != listener.Addr().String() {
		t.Errorf("error is %v, want a DialError", err)
	}
	if n := c.group.queue.open.Load(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}

// piped dials to nowhere, so that time can be a test's own.
func piped(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	return near, nil
}

func TestSlowConnectTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := New(Config{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		c := one(t, set, edge.Cluster{Endpoints: endpoints("10.0.0.1:80"), ConnectTimeout: 3 * time.Second})
		began := time.Now()
		_, err := c.members[0].Conn(t.Context())
		var dial *DialError
		if !errors.As(err, &dial) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("error is %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.members[0].Conn(ctx); errors.As(err, &dial) || !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v where the caller gave up", err)
		}
	})
}

func TestWaitersAreServedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := one(t, New(Config{Dial: piped}), edge.Cluster{Endpoints: endpoints("10.0.0.1:80"), MaxConnections: 1, MaxPending: 5})
		e := c.members[0].Endpoint
		held, err := e.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int
		for i := range 5 {
			go func() {
				patience := time.Minute
				if i == 2 {
					patience = time.Second
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				got, err := e.Conn(ctx)
				if i == 2 {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("waiter %d: error is %v", i, err)
					}
					return
				}
				if err != nil {
					t.Errorf("waiter %d: %v", i, err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second)
				if i == 1 {
					got.Close() // the next one then makes its own
				} else {
					got.Keep()
				}
			}()
			synctest.Wait()
		}
		if _, err := e.Conn(t.Context()); !errors.Is(err, ErrFull) || RetryAfter(err) != time.Second {
			t.Errorf("with 5 waiting the error is %v, to come back after %v", err, RetryAfter(err))
		}
		if e.Reserve() || !e.Wanted() {
			t.Error("an event loop may pass those who wait")
		}
		time.Sleep(4500 * time.Millisecond)
		held.Keep()
		time.Sleep(20 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if fmt.Sprint(order) != "[0 1 3 4]" {
			t.Errorf("served %v", order)
		}
		if c.group.queue.pending.Load() != 0 || c.group.queue.open.Load() > 1 {
			t.Errorf("%d wait and %d are open at the end", c.group.queue.pending.Load(), c.group.queue.open.Load())
		}
		c.group.closeIdle()
	})
}

func TestKeptConnectionMakesRoomForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := one(t, New(Config{Dial: piped}), edge.Cluster{Endpoints: endpoints("10.0.0.1:80", "10.0.0.2:80"), MaxConnections: 2})
		a, b := c.members[0].Endpoint, c.members[1].Endpoint
		first, _ := a.Conn(t.Context())
		second, _ := a.Conn(t.Context())
		first.Keep()
		second.Keep()
		got, err := b.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a.idle.len() != 1 || c.group.queue.open.Load() != 2 {
			t.Errorf("%d kept of %d", a.idle.len(), c.group.queue.open.Load())
		}
		dialled, err := b.Dial(t.Context(), "h2")
		if err != nil || dialled.Buf != nil {
			t.Fatalf("dial: %v", err)
		}
		got.Close()
		dialled.Keep()
		if n := c.group.queue.open.Load(); n != 0 {
			t.Errorf("%d connections are counted at the end", n)
		}
	})
}

func TestNobodyIsPassedOverForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := one(t, New(Config{Dial: piped}), edge.Cluster{Endpoints: endpoints("10.0.0.1:80", "10.0.0.2:80"), MaxConnections: 1})
		a, b := c.members[0].Endpoint, c.members[1].Endpoint
		held, _ := a.Conn(t.Context())
		var mu sync.Mutex
		served, before := 0, 0
		wait := func(e *Endpoint) {
			got, err := e.Conn(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			if served++; e == b {
				before = served - 1
			}
			mu.Unlock()
			time.Sleep(time.Second)
			got.Keep()
		}
		for range 3 {
			go wait(a)
		}
		synctest.Wait()
		go wait(b)
		synctest.Wait()
		for range 40 {
			go wait(a)
		}
		synctest.Wait()
		held.Keep()
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if served != 44 || before != 3+lookAhead {
			t.Errorf("%d are served, %d of them before the one that needs another connection; want 44 and %d", served, before, 3+lookAhead)
		}
		c.group.closeIdle()
	})
}

func TestDialTakesThePlaceOfAKeptConnection(t *testing.T) {
	upstream := serve(t, "tcp", "127.0.0.1:0")
	c := one(t, New(Config{}), edge.Cluster{Endpoints: endpoints(upstream.address), MaxConnections: 1})
	e := c.members[0].Endpoint
	held := conn(t, e)
	dialled := make(chan *Conn)
	go func() {
		c, err := e.Dial(t.Context(), "h2")
		if err != nil {
			t.Error(err)
		}
		dialled <- c
	}()
	waitFor(t, "the dialler to line up", func() bool { return c.group.queue.pending.Load() == 1 })
	held.Keep()
	(<-dialled).Close()
	waitFor(t, "both to be closed", func() bool { return upstream.closed.Load() == 2 })
	if n := c.group.queue.open.Load(); n != 0 {
		t.Errorf("%d connections are counted at the end", n)
	}
}

func TestManyAtOnceShareFewConnections(t *testing.T) {
	x, y := serve(t, "tcp", "127.0.0.1:0"), serve(t, "tcp", "127.0.0.1:0")
	c := one(t, New(Config{}), edge.Cluster{Endpoints: endpoints(x.address, y.address), MaxConnections: 3})
	var most atomic.Int64
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			for n := range 100 {
				e := c.members[(i+n)%2].Endpoint
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if n%10 == 9 {
					ctx, cancel = context.WithTimeout(t.Context(), 50*time.Microsecond)
				}
				got, err := e.Conn(ctx)
				if err == nil {
					if got.Endpoint() != e {
						t.Error("a connection to another endpoint")
					}
					most.Store(max(most.Load(), c.group.queue.open.Load()))
					if n%7 == 0 {
						got.Close()
					} else {
						got.Keep()
					}
				} else if n%10 != 9 {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	if most.Load() > 3 {
		t.Errorf("%d connections at once", most.Load())
	}
	c.group.closeIdle()
	if q := &c.group.queue; q.open.Load() != 0 || q.pending.Load() != 0 || len(q.waiters) != 0 {
		t.Errorf("left: %d open, %d pending", q.open.Load(), q.pending.Load())
	}
}

func TestEventLoopSharesTheBound(t *testing.T) {
	c := one(t, New(Config{Dial: piped}), edge.Cluster{Endpoints: endpoints("10.0.0.1:80"), MaxConnections: 2})
	e := c.members[0].Endpoint
	if network, address, ok := e.TCP(); network != "tcp" || address != "10.0.0.1:80" || !ok {
		t.Errorf("TCP gives %s %s %v", network, address, ok)
	}
	for n, free := range []bool{true, true, false} {
		if e.Reserve() != free {
			t.Errorf("reservation %d of two is wrong", n+1)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := e.Conn(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	e.Unreserve()
	got, err := e.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got.Close()
	e.Unreserve()
	if n := c.group.queue.open.Load(); n != 0 {
		t.Errorf("%d connections are counted at the end", n)
	}
}

func BenchmarkConnKeep(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	c := one(b, New(Config{}), edge.Cluster{Endpoints: endpoints(listener.Addr().String())})
	b.ReportAllocs()
	for b.Loop() {
		got, err := c.members[0].Conn(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		got.Keep()
	}
}
