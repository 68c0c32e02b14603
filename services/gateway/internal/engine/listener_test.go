package engine_test

import (
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/testport"
	"github.com/backlot-video/backlot/services/gateway/internal/engine"
)

func TestListenersChangeWithoutDroppingConnections(t *testing.T) {
	s, address := serve(t, engine.Config{Handler: handler(echo)})
	c := dial(t, address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.answer("GET")
	other := testport.Address(t)
	if err := s.SetListeners(t.Context(), []engine.Listener{{Address: other}}); err != nil {
		t.Fatal(err)
	}
	c.send("GET /still HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, body := c.answer("GET"); body != "GET /still []" {
		t.Errorf("got %q", body)
	}
	second := dial(t, other)
	second.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	second.answer("GET")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	if err := s.SetListeners(t.Context(), []engine.Listener{{Address: taken.Addr().String()}}); err == nil {
		t.Error("an address in use was opened")
	}
	dial(t, other)
}

// An address is open for a moment after it has left the set, and may come back
// meanwhile.
func TestListenerComesBackAtOnce(t *testing.T) {
	s, _ := serve(t, engine.Config{Handler: handler(echo)})
	address := testport.Address(t)
	for range 5 {
		for _, want := range [][]engine.Listener{{{Address: address}}, nil} {
			if err := s.SetListeners(t.Context(), want); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.SetListeners(t.Context(), []engine.Listener{{Address: address}}); err != nil {
		t.Fatal(err)
	}
	c := dial(t, address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.answer("GET")
}

// A listener moves between one address and all of them within one change, though
// the system opens one of these only.
func TestListenerMovesToAllAddressesAndBack(t *testing.T) {
	s, _ := serve(t, engine.Config{Handler: handler(echo)})
	narrow := testport.Address(t)
	_, port, err := net.SplitHostPort(narrow)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{narrow, "0.0.0.0:" + port, narrow, ":" + port, narrow} {
		if err := s.SetListeners(t.Context(), []engine.Listener{{Address: address}}); err != nil {
			t.Fatal(err)
		}
		if open := s.Addresses(); len(open) != 1 || open[address] == nil {
			t.Errorf("open are %v, want %s", open, address)
		}
		c := dial(t, narrow)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.answer("GET")
		defer func() { // the connection goes on, whatever has come since
			c.send("GET /still HTTP/1.1\r\nHost: x\r\n\r\n")
			c.answer("GET")
		}()
	}
}

// A listener that is to move, and cannot, stays where it is.
func TestMoveThatFailsChangesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // elsewhere both may be open
	}
	s, _ := serve(t, engine.Config{Handler: handler(echo)})
	narrow := testport.Address(t)
	_, port, err := net.SplitHostPort(narrow)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetListeners(t.Context(), []engine.Listener{{Address: narrow}}); err != nil {
		t.Fatal(err)
	}
	c := dial(t, narrow)
	other, err := net.Listen("tcp", "127.0.0.2:"+port) // of somebody else
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	free := testport.Address(t)
	err = s.SetListeners(t.Context(), []engine.Listener{{Address: free}, {Address: "0.0.0.0:" + port, Field: `listener "a": address`}})
	if err == nil || !strings.Contains(err.Error(), `listener "a": address: `) {
		t.Errorf("the error is %v", err)
	}
	if open := s.Addresses(); len(open) != 1 || open[narrow] == nil {
		t.Errorf("open are %v, want %s", open, narrow)
	}
	for _, c := range []*client{c, dial(t, narrow)} {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.answer("GET")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(echo), MaxConnections: 1})
	first := dial(t, address)
	first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	first.answer("GET")
	second := dial(t, address)
	if _, err := second.r.ReadByte(); err == nil {
		t.Error("a second connection is served")
	}
}

func TestTLS(t *testing.T) {
	origin := httptest.NewUnstartedServer(nil)
	origin.EnableHTTP2 = true
	origin.StartTLS()
	defer origin.Close()
	s := engine.New(engine.Config{Handler: handler(echo)})
	t.Cleanup(s.Close)
	config := origin.TLS.Clone()
	config.NextProtos = []string{"http/1.1"}
	if err := s.SetListeners(t.Context(), []engine.Listener{{Address: "127.0.0.1:0", TLS: config}}); err != nil {
		t.Fatal(err)
	}
	url := "https://" + s.Addresses()["127.0.0.1:0"].String()
	for range 2 {
		response, err := origin.Client().Post(url+"/tls", "text/plain", strings.NewReader(strings.Repeat("x", 100)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(body) != "POST /tls ["+strings.Repeat("x", 100)+"]" {
			t.Errorf("got %q, %v", body, err)
		}
	}
}
