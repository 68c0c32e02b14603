package socket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// pair is a Conn and the other end of it.
func pair(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := Dial(t.Context(), new(net.Dialer), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); other.Close() })
	return conn.(*Conn), other
}

// TestBothWaysAtOnce sends more than buffers of sockets hold, in pieces of all
// sizes, both ways, so that reads and writes have to wait.
func TestBothWaysAtOnce(t *testing.T) {
	ours, theirs := pair(t)
	const length = 8 << 20
	sent := make([]byte, length)
	random := rand.New(rand.NewPCG(1, 0))
	for n := 0; n < length; n += 8 {
		binary.LittleEndian.PutUint64(sent[n:], random.Uint64())
	}
	var working sync.WaitGroup
	for _, conn := range []net.Conn{ours, theirs} {
		working.Go(func() {
			random := rand.New(rand.NewPCG(2, 0))
			for rest := sent; len(rest) > 0; {
				n, err := conn.Write(rest[:min(len(rest), random.IntN(1<<20))])
				if err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		})
		working.Go(func() {
			got := make([]byte, length)
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("what came is not what was sent: %v", err)
			}
		})
	}
	working.Wait()
}

func TestEndsOfAConnection(t *testing.T) {
	room := make([]byte, 8)
	ours, theirs := pair(t)
	if _, err := theirs.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if n, err := ours.Read(room); string(room[:n]) != "last" || err != nil {
		t.Errorf("read %q, %v", room[:n], err)
	}
	if n, err := ours.Read(room); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %d, %v", n, err)
	}
	if n, err := ours.Read(nil); n != 0 || err != nil {
		t.Errorf("nothing was asked for: %d, %v", n, err)
	}
	var err error
	for err == nil { // the other side's refusal takes a moment
		_, err = ours.Write(room)
	}
	if n, err := ours.Write(nil); n != 0 || errors.Is(err, io.ErrShortWrite) {
		t.Errorf("nothing to write: %d, %v", n, err)
	}
	ours.Close()
	if _, err := ours.Read(room); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestDeadlinesAndCloseEndWaits(t *testing.T) {
	ours, _ := pair(t)
	if err := ours.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := ours.Read(make([]byte, 1))
	var timed net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timed) || !timed.Timeout() {
		t.Errorf("read: %v", err)
	}
	full := make([]byte, 1<<20)
	for err = nil; err == nil; {
		_, err = ours.Write(full)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	if err := ours.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { _, err := ours.Read(make([]byte, 1)); ended <- err }()
	ours.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed while it read: %v", err)
	}
}

// TestCallsAllocateNothing: neither does net.
func TestCallsAllocateNothing(t *testing.T) {
	ours, theirs := pair(t)
	message, room := []byte("message"), make([]byte, 64)
	if allocated := testing.AllocsPerRun(200, func() {
		_, _ = theirs.Write(message)
		_, _ = ours.Read(room)
		_, _ = ours.Write(message)
		_, _ = theirs.Read(room)
	}); allocated > 0 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestConnOfWhatIsNoSocket(t *testing.T) {
	near, far := net.Pipe()
	conn := NewConn(near)
	defer conn.Close()
	go func() { _, _ = far.Write([]byte("pipe")); far.Close() }()
	if got, err := io.ReadAll(conn); string(got) != "pipe" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}
