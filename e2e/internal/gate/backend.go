package gate

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
)

// Backend answers `/N` with N bytes, `/ws` with a connection that echoes after
// its upgrade, and a gRPC-like `/echo.Echo/Stream` with each message that
// comes; anything else is answered with OK once its body is there. It tells its
// name in the header `Backend`.
type Backend struct {
	Address string
	Seen    atomic.Int64 // requests

	server *http.Server
}

// NewBackend starts one at an address; empty: any.
func NewBackend(t *testing.T, name, address string) *Backend {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", echoUpgraded)
	mux.HandleFunc("/echo.Echo/Stream", echoStream)
	mux.HandleFunc("/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 0 || n > len(body) {
			http.Error(w, "how many bytes?", http.StatusBadRequest)
			return
		}
		w.Header().Set("Backend", name)
		w.Header().Set("Content-Length", strconv.Itoa(n))
		_, _ = w.Write(body[:n])
	})
	b := &Backend{Address: listener.Addr().String()}
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.Seen.Add(1)
		mux.ServeHTTP(w, r)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			_, _ = io.WriteString(w, "OK")
		}
	})
	b.server = &http.Server{Handler: counted, Protocols: new(http.Protocols)}
	b.server.Protocols.SetHTTP1(true)
	b.server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = b.server.Serve(listener) }()
	t.Cleanup(b.Close)
	return b
}

// Close cuts all of its connections.
func (b *Backend) Close() { _ = b.server.Close() }

// body is what answers begin with.
var body = func() []byte {
	b := make([]byte, 64<<10)
	for i := range b {
		b[i] = byte('a' + i%23)
	}
	return b
}()

// echoUpgraded changes the protocol and echoes bytes.
func echoUpgraded(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\nConnection: Upgrade\r\n\r\n"); err == nil {
		_, _ = io.Copy(conn, buffered)
	}
}

// echoStream sends each of gRPC's length-prefixed messages back as it comes.
func echoStream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	_ = control.Flush()
	in := bufio.NewReader(r.Body)
	for {
		var head [5]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			break
		}
		message := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		if _, err := w.Write(append(head[:], message...)); err != nil {
			return
		}
		_ = control.Flush()
	}
	w.Header().Set("Grpc-Status", "0")
}
