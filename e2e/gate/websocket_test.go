//go:build conformance

package gate_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/e2e/internal/gate"
)

// TestWebSocketCoder has github.com/coder/websocket on both sides, with
// compression and a ping while a message is on its way.
func TestWebSocketCoder(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover, InsecureSkipVerify: true})
		if err != nil {
			return
		}
		conn.SetReadLimit(-1)
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if err := conn.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	g := gate.New(t, map[string]proto.Message{
		"Cluster/peer": gate.Cluster(strings.TrimPrefix(server.URL, "http://")), "Route/all": streaming("/", "peer"),
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, "ws://"+g.Address+"/chat", &websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	if response.Body != nil {
		_, _ = io.Copy(io.Discard, response.Body)
	}
	conn.SetReadLimit(-1)
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 4 << 20} {
		message := bytes.Repeat([]byte("x"), n)
		if err := conn.Write(ctx, websocket.MessageBinary, message); err != nil {
			t.Fatal(err)
		}
		_, got, err := conn.Read(ctx)
		if err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%d bytes: %d came back, %v", n, len(got), err)
		}
	}
	reading := conn.CloseRead(ctx)
	if err := conn.Ping(ctx); err != nil {
		t.Error(err)
	}
	if err := conn.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Error(err)
	}
	<-reading.Done()
}
