package relay_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestAnUpstreamThatIsSlowIsGivenUp(t *testing.T) {
	config := plainConfig(script(t, func(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }))
	config.Hosts[0].Routes[0].Policy.TryTimeout = 30 * time.Millisecond
	v := visit(t, gateway(t, config))
	for range 2 { // also when the connection before has a deadline left
		v.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if r, _, _ := v.answer("GET"); r.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("got %d", r.StatusCode)
		}
	}
}

// TestARequestIsSentThoughItWaitedLongForItsConnection: longer than until anybody
// looks after it.
func TestARequestIsSentThoughItWaitedLongForItsConnection(t *testing.T) {
	begun := make(chan struct{}, 2)
	config := plainConfig(script(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			if _, ok := head(r); !ok {
				return
			}
			begun <- struct{}{}
			<-time.After(700 * time.Millisecond)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}))
	cluster := config.Clusters["all"]
	cluster.MaxConnections, cluster.MaxPending = 1, 8
	config.Clusters["all"] = cluster
	address := gateway(t, config)
	first, second := visit(t, address), visit(t, address)
	first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	second.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, v := range []*visitor{first, second} {
		if r, body, err := v.answer("GET"); r.StatusCode != http.StatusOK || body != "ok" || err != nil {
			t.Errorf("got %d %q, %v", r.StatusCode, body, err)
		}
	}
}
