package gate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Load asks for 128 bytes over and over, on kept connections, and does not
// forgive: a connection that is refused, closed before its answer has come
// (but for those that were told to close), another status or another byte is a
// failure.
type Load struct {
	Requests atomic.Int64

	address string
	path    string
	pace    time.Duration // between a connection's requests
	fresh   bool          // each request has a connection of its own
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex
	failures int
	first    error
	took     []time.Duration // since the last Take
}

// NewLoad starts so many connections' load.
func NewLoad(t *testing.T, address, path string, connections int, pace time.Duration) *Load {
	t.Helper()
	l := &Load{address: address, path: path, pace: pace}
	l.start(t, connections)
	return l
}

// NewFreshLoad is NewLoad with a new connection for each request.
func NewFreshLoad(t *testing.T, address, path string, clients int, pace time.Duration) *Load {
	t.Helper()
	l := &Load{address: address, path: path, pace: pace, fresh: true}
	l.start(t, clients)
	return l
}

func (l *Load) start(t *testing.T, clients int) {
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	for range clients {
		l.done.Go(func() { l.run(ctx) })
	}
	t.Cleanup(func() { _, _ = l.Stop() }) // who wants to know has asked before
}

// Stop ends the load and tells how many requests failed, and how the first.
func (l *Load) Stop() (failures int, first error) {
	l.stop()
	l.done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures, l.first
}

// Passed is how many requests did not fail.
func (l *Load) Passed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Requests.Load() - int64(l.failures)
}

// Take gives the latencies since the last call, sorted.
func (l *Load) Take() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := l.took
	l.took = make([]time.Duration, 0, len(took))
	slices.Sort(took)
	return took
}

func (l *Load) run(ctx context.Context) {
	var conn net.Conn
	var in *bufio.Reader
	for ctx.Err() == nil {
		began, err := time.Now(), error(nil)
		if conn == nil {
			if conn, err = net.DialTimeout("tcp", l.address, 5*time.Second); err == nil {
				in = bufio.NewReader(conn)
			}
		}
		last := false
		if err == nil {
			last, err = l.ask(conn, in)
		}
		l.count(time.Since(began), err)
		if (err != nil || last) && conn != nil {
			_ = conn.Close()
			conn = nil
		}
		if l.pace > 0 {
			select {
			case <-time.After(l.pace):
			case <-ctx.Done():
			}
		}
	}
	if conn != nil {
		_ = conn.Close()
	}
}

func (l *Load) count(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Requests.Add(1)
	l.took = append(l.took, took)
	if err != nil {
		l.failures++
		if l.first == nil {
			l.first = fmt.Errorf("request %d: %w", l.Requests.Load(), err)
		}
	}
}

// ask is one request; last: the connection is to be closed.
func (l *Load) ask(conn net.Conn, in *bufio.Reader) (last bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return false, err
	}
	ending := ""
	if l.fresh {
		ending = "Connection: close\r\n"
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", l.path, l.address, ending); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(in, nil) //nolint:bodyclose // a view of the connection, which goes on
	if err != nil {
		return false, err
	}
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err
	}
	if response.StatusCode != http.StatusOK || !bytes.Equal(got, body[:128]) {
		return false, fmt.Errorf("status %d, %d bytes: %.200s", response.StatusCode, len(got), got)
	}
	return response.Close, nil
}

// Stream is a long connection that echoes: a WebSocket's, or a gRPC stream.
type Stream struct {
	write  func([]byte) error
	in     *bufio.Reader
	close  func()
	echoed int
}

// Echo sends a message and awaits it.
func (s *Stream) Echo() error {
	message := make([]byte, 5+64)
	binary.BigEndian.PutUint32(message[1:], 64)
	copy(message[5:], fmt.Sprintf("message %d", s.echoed))
	failed := make(chan error, 1)
	go func() {
		if err := s.write(message); err != nil {
			failed <- err
			return
		}
		got := make([]byte, len(message))
		_, err := io.ReadFull(s.in, got)
		if err == nil && !bytes.Equal(got, message) {
			err = errors.New("another message came back")
		}
		failed <- err
	}()
	select {
	case err := <-failed:
		s.echoed++
		return err
	case <-time.After(20 * time.Second):
		return errors.New("no echo within 20 s")
	}
}

// NewWebSocket upgrades a connection to something that echoes bytes.
func NewWebSocket(t *testing.T, address string) *Stream {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", address)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil) //nolint:bodyclose // it has none
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(response, err)
	}
	return &Stream{
		write: func(b []byte) error { _, err := conn.Write(b); return err }, in: in,
		close: func() { _ = conn.Close() },
	}
}

// NewGRPC opens a bidirectional stream over HTTP/2 without TLS.
func NewGRPC(t *testing.T, address string) *Stream {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	out, sending := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); transport.CloseIdleConnections() })
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/echo.Echo/Stream", out)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	response, err := transport.RoundTrip(request) //nolint:bodyclose // the stream's
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	return &Stream{
		write: func(b []byte) error { _, err := sending.Write(b); return err }, in: bufio.NewReader(response.Body),
		close: func() { // the connection with it, which is its own
			_ = sending.Close()
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			cancel()
			transport.CloseIdleConnections()
		},
	}
}

// Close ends the stream.
func (s *Stream) Close() { s.close() }
