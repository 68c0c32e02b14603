package rpc

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

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
