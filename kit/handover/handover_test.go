//go:build unix

package handover

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// predecessor offers a listener and a file.
func predecessor(t *testing.T, limit time.Duration) (path string, offer *Offer, listener *net.TCPListener) {
	t.Helper()
	opened, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener = opened.(*net.TCPListener)
	t.Cleanup(func() { _ = listener.Close() })
	dir, err := os.MkdirTemp("", "handover") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "sock")
	offer, err = NewOffer(t.Context(), path, limit, func() (map[string]*os.File, error) {
		socket, err := listener.File()
		if err != nil {
			return nil, err
		}
		lock, err := os.CreateTemp(dir, "lock")
		return map[string]*os.File{"public": socket, "lock": lock}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = offer.Close() })
	return path, offer, listener
}

func TestSuccessorTakesConnectionsThatWait(t *testing.T) {
	path, offer, listener := predecessor(t, time.Minute)
	waiting, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	inheritance, err := Take(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := inheritance.Listener("public")
	if err != nil || taken == nil {
		t.Fatal(taken, err)
	}
	defer taken.Close()
	if lock := inheritance.File("lock"); lock == nil || lock.Close() != nil {
		t.Error("no lock")
	}
	if none, err := inheritance.Listener("other"); none != nil || err != nil {
		t.Error("a listener that nobody offered:", none, err)
	}
	select {
	case <-offer.Taken():
		t.Error("replaced before the successor serves")
	default:
	}
	if err := inheritance.Serving(); err != nil {
		t.Fatal(err)
	}
	<-offer.Taken()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := taken.Accept() // it was in the queue all the time
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(waiting, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestSuccessorThatDiesChangesNothing(t *testing.T) {
	path, offer, _ := predecessor(t, time.Minute)
	for range 3 {
		inheritance, err := Take(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := inheritance.Close(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-offer.Taken():
		t.Error("replaced by one that died")
	default:
	}
	inheritance, err := Take(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := inheritance.Serving(); err != nil {
		t.Fatal(err)
	}
	<-offer.Taken()
}

func TestASuccessorThatIsDroppedIsNotHeard(t *testing.T) {
	path, offer, _ := predecessor(t, time.Minute)
	if !offer.Drop() {
		t.Error("replaced by nobody")
	}
	slow, err := Take(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if !offer.Drop() {
		t.Error("replaced by one that does not serve")
	}
	_ = slow.Serving() // an error or none: it may not know yet
	next, err := Take(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-offer.Taken():
		t.Error("replaced by one that was dropped")
	default:
	}
	if err := next.Serving(); err != nil {
		t.Fatal(err)
	}
	<-offer.Taken()
	if offer.Drop() {
		t.Error("dropped one that serves")
	}
}

func TestASuccessorThatTakesTooLongIsLeft(t *testing.T) {
	path, _, _ := predecessor(t, time.Millisecond)
	slow, err := Take(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := slow.conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the slow one is answered %v", err)
	}
}

func TestNobodyOffers(t *testing.T) {
	path, offer, _ := predecessor(t, time.Minute)
	if err := offer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Take(t.Context(), path); !errors.Is(err, ErrNobody) {
		t.Error(err)
	}
}

func TestSomethingElseIsNoSuccessor(t *testing.T) {
	path, offer, _ := predecessor(t, time.Minute)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("GET / HT")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until it is closed
	_ = conn.Close()
	select {
	case <-offer.Taken():
		t.Error("replaced")
	default:
	}
}
