package wan_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/wan"
)

// line is a network with a member "b" that answers, and who "a" dials it as.
func line(t *testing.T, link wan.Link) (*wan.Network, func(limit time.Duration) (time.Duration, error)) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(server.Close)
	n := wan.New(1, link)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	n.Know("1f", "a")
	address, err := n.Front(t.Context(), "b", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return n, func(limit time.Duration) (time.Duration, error) {
		begin := time.Now()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		if err := conn.SetDeadline(begin.Add(limit)); err != nil {
			return 0, err
		}
		if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: b\r\nX-Server-From: 1f\r\n\r\n"); err != nil {
			return 0, err
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0, err
		}
		return time.Since(begin), response.Body.Close()
	}
}

func TestBothWaysTakeTheirDelay(t *testing.T) {
	const delay = 30 * time.Millisecond
	n, ask := line(t, wan.Link{Delay: delay, Jitter: delay / 3})
	if took, err := ask(10 * time.Second); err != nil || took < 2*delay {
		t.Errorf("took %v, %v", took, err)
	}
	n.Stall(10 * delay)
	if took, err := ask(10 * time.Second); err != nil || took < 10*delay {
		t.Errorf("stalled, took %v, %v", took, err)
	}
	n.SetLink(wan.Link{})
	if took, err := ask(10 * time.Second); err != nil || took > time.Second {
		t.Errorf("without delay, took %v, %v", took, err)
	}
}

func TestACutDropsOneDirectionUntilItHeals(t *testing.T) {
	n, ask := line(t, wan.Link{})
	for _, way := range [][2]string{{"a", "b"}, {"b", "a"}} {
		n.Cut(way[0], way[1])
		if _, err := ask(100 * time.Millisecond); err == nil {
			t.Errorf("an answer though %s does not reach %s", way[0], way[1])
		}
		n.Heal()
		if _, err := ask(10 * time.Second); err != nil {
			t.Errorf("healed: %v", err)
		}
	}
	n.Cut("b", "c")
	if _, err := ask(10 * time.Second); err != nil {
		t.Errorf("somebody else is cut off: %v", err)
	}
}
