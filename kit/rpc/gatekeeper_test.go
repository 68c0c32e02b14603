package rpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/backlot-video/backlot/kit/identity"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// A gatekeeper knows who calls and until when, and is asked before a message
// that would not even pass validation is looked at.
func TestAGatekeeperIsAskedBeforeTheMessageIsRead(t *testing.T) {
	for _, transport := range []string{"kitex", "connect"} {
		t.Run(transport, func(t *testing.T) {
			var asked atomic.Int64
			admit := func(ctx context.Context, method *rpcdesc.Method, _ int) error {
				caller, known := identity.From(ctx)
				_, bounded := ctx.Deadline()
				if !known || caller.ID != "tester" || !bounded || method.Name != "Publish" {
					t.Errorf("%+v called %s, bounded %v", caller, method.Name, bounded)
				}
				asked.Add(1)
				return RetryLater(connect.CodeResourceExhausted, errors.New("busy"), time.Second)
			}
			b := &bench{name: transport, shop: new(shop)}
			keys := testKeys(t, nil)
			b.server = NewServer(ServerConfig{Service: "shop", Registerer: prometheus.NewRegistry(), Verifier: keys})
			b.server.Handle(shopDesc, gatedShop{b.shop, admit})
			b.client = ClientConfig{Service: "tester", Signer: keys, Registerer: prometheus.NewRegistry()}
			if transport == "kitex" {
				b.reach(kitexOverTCP(t, b))
			} else {
				b.reach(connectOverTCP(t, b))
			}
			_, err := publish(t.Context(), b.conn(t, nil), new(storefrontv1.PublishVideoRequest)) // which is not valid
			var coded *connect.Error
			if !errors.As(err, &coded) || coded.Code() != connect.CodeResourceExhausted {
				t.Fatalf("got %v", err)
			}
			if after, told := RetryAfter(coded); !told || after != time.Second || asked.Load() != 1 {
				t.Errorf("asked %d times, retry after %v", asked.Load(), after)
			}
		})
	}
}

// countedKeys counts what it verifies.
type countedKeys struct {
	*identity.Keys
	verified atomic.Int64
}

func (k *countedKeys) Verify(token string) (identity.Principal, error) {
	k.verified.Add(1)
	return k.Keys.Verify(token)
}

// The gate before a message and the chain behind it ask once whose call it is.
func TestAPrincipalIsVerifiedOnceForACall(t *testing.T) {
	keys := &countedKeys{Keys: testKeys(t, nil)}
	b := &bench{name: "connect", shop: new(shop)}
	b.server = NewServer(ServerConfig{Service: "shop", Registerer: prometheus.NewRegistry(), Verifier: keys})
	var asked atomic.Int64
	b.server.Handle(shopDesc, gatedShop{b.shop, func(ctx context.Context, _ *rpcdesc.Method, _ int) error {
		if caller, _ := identity.From(ctx); caller.ID != "tester" {
			t.Errorf("%+v called", caller)
		}
		asked.Add(1)
		return nil
	}})
	b.client = ClientConfig{Service: "tester", Signer: keys.Keys, Registerer: prometheus.NewRegistry()}
	b.reach(connectOverTCP(t, b))
	conn := b.conn(t, nil)
	for range 2 {
		_, _ = publish(t.Context(), conn, new(storefrontv1.PublishVideoRequest)) // not valid, which is found out behind both
	}
	if asked.Load() != 4 || keys.verified.Load() != 2 {
		t.Errorf("asked %d times, verified %d, want 4 and 2", asked.Load(), keys.verified.Load())
	}
}

// leftShop counts who is let in, and who has left.
type leftShop struct {
	*shop
	in, left *atomic.Int64
}

func (l leftShop) Admit(ctx context.Context, _ *rpcdesc.Method, _ int) (context.Context, func(), error) {
	l.in.Add(1)
	return context.WithValue(ctx, leftShop{}, "let in"), func() { l.left.Add(1) }, nil
}

// Whatever becomes of a call, a gatekeeper learns when it has ended.
func TestAGatekeeperIsToldWhenACallHasEnded(t *testing.T) {
	for _, transport := range []string{"kitex", "connect"} {
		t.Run(transport, func(t *testing.T) {
			gate := leftShop{new(shop), new(atomic.Int64), new(atomic.Int64)}
			b := &bench{name: transport, shop: gate.shop}
			b.onGet(func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
				if ctx.Value(leftShop{}) != "let in" || gate.in.Load() != gate.left.Load()+1 {
					t.Errorf("%d were let in and %d have left while it goes on", gate.in.Load(), gate.left.Load())
				}
				return nil, errors.New("broken")
			})
			keys := testKeys(t, nil)
			b.server = NewServer(ServerConfig{Service: "shop", Registerer: prometheus.NewRegistry(), Verifier: keys})
			b.server.Handle(shopDesc, gate)
			b.client = ClientConfig{Service: "tester", Signer: keys, Registerer: prometheus.NewRegistry()}
			if transport == "kitex" {
				b.reach(kitexOverTCP(t, b))
			} else {
				b.reach(connectOverTCP(t, b))
			}
			conn := b.conn(t, nil)
			_, _ = get(t.Context(), conn)
			_, _ = publish(t.Context(), conn, new(storefrontv1.PublishVideoRequest)) // which is not valid
			if gate.in.Load() < 2 || gate.in.Load() != gate.left.Load() {
				t.Errorf("%d were let in and %d have left", gate.in.Load(), gate.left.Load())
			}
		})
	}
}

// The answer does not wait for a message that never comes, and says when to try
// again.
func TestAConnectCallIsRefusedByItsHeaders(t *testing.T) {
	keys := testKeys(t, nil)
	registry := prometheus.NewRegistry()
	server := NewServer(ServerConfig{Service: "shop", Registerer: registry, Verifier: keys})
	var left time.Duration
	server.Handle(shopDesc, gatedShop{new(shop), func(ctx context.Context, _ *rpcdesc.Method, items int) error {
		deadline, _ := ctx.Deadline()
		if left = time.Until(deadline); items != 1 {
			t.Errorf("%d items", items)
		}
		return RetryLater(connect.CodeResourceExhausted, errors.New("busy"), time.Second)
	}})
	b := &bench{server: server}
	conn, err := net.Dial("tcp", b.serve(t, listen(t, "tcp", "127.0.0.1:0"), server.Serve))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	token, err := keys.Sign(identity.Principal{Kind: identity.Service, ID: "tester", TenantID: identity.DefaultTenant})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /%s/Publish HTTP/1.1\r\nHost: shop\r\nContent-Type: application/proto\r\n"+
		"Content-Length: 1000\r\nConnect-Protocol-Version: 1\r\nConnect-Timeout-Ms: 8000\r\n%s: %s\r\n\r\n", shopName, identity.Header, token)
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "1" {
		t.Errorf("%s, retry after %q", res.Status, res.Header.Get("Retry-After"))
	}
	if left <= 0 || left > 8*time.Second {
		t.Errorf("%v were left", left)
	}
	if n := testutil.CollectAndCount(server.metrics.duration); n != 1 {
		t.Errorf("%d series of durations, want the refusal's", n)
	}
}

func TestItemsAreCountedWithoutDecoding(t *testing.T) {
	page := &storefrontv1.ListVideosResponse{Videos: make([]*storefrontv1.Video, 64)}
	for i := range page.Videos {
		page.Videos[i] = &storefrontv1.Video{Title: "a title"}
	}
	raw, err := encode(page)
	if err != nil {
		t.Fatal(err)
	}
	if n := items(raw.raw); n != 64 {
		t.Errorf("%d of 64", n)
	}
	for _, broken := range [][]byte{nil, {0xff}, {0x0a, 0x7f}, {0x0a, 0x00, 0x0b}} {
		if n := items(broken); n != 1 {
			t.Errorf("%x: %d", broken, n)
		}
	}
}
