package rpc

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

type watchStream = connect.ServerStream[storefrontv1.GetVideoResponse]

// watching serves Watch by f on a unix socket.
func watching(t *testing.T, f func(context.Context, *storefrontv1.GetVideoRequest, *watchStream) error) *bench {
	t.Helper()
	b := newBench(t, "connect unix", ServerConfig{})
	b.shop.watch = f
	b.reach(Endpoint{Address: b.serve(t, listen(t, "unix", filepath.Join(t.TempDir(), "s")), b.server.Serve)})
	return b
}

// watch receives until the stream ends, and returns the titles received.
func watch(t *testing.T, ctx context.Context, client ClientConfig, id string, received func()) ([]string, error) {
	t.Helper()
	dialer := NewDialer(client)
	defer dialer.Close()
	httpClient, base := dialer.HTTPClient("shop")
	call := connect.NewClient[storefrontv1.GetVideoRequest, storefrontv1.GetVideoResponse](httpClient, base+"/"+shopName+"/Watch")
	stream, err := call.CallServerStream(ctx, connect.NewRequest(&storefrontv1.GetVideoRequest{VideoId: id}))
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var got []string
	for stream.Receive() {
		got = append(got, stream.Msg().GetVideo().GetTitle())
		if received != nil {
			received()
		}
	}
	return got, stream.Err()
}

func TestStreamPassesTheSameChecks(t *testing.T) {
	b := watching(t, func(ctx context.Context, req *storefrontv1.GetVideoRequest, stream *watchStream) error {
		principal, _ := identity.From(ctx)
		for _, title := range []string{req.GetVideoId(), principal.ID, principal.TenantID} {
			if err := stream.Send(&storefrontv1.GetVideoResponse{Video: video(title)}); err != nil {
				return err
			}
		}
		if req.GetVideoId() == "panic" {
			panic("in a stream")
		}
		if req.GetVideoId() == "fault" {
			return errSecret
		}
		return nil
	})
	ctx := identity.With(t.Context(), identity.Principal{Kind: identity.Viewer, ID: "x", TenantID: "studio"})
	got, err := watch(t, ctx, b.client, "v", nil)
	if err != nil || len(got) != 3 || got[0] != "v" || got[1] != "tester" || got[2] != "studio" {
		t.Errorf("got %q, %v", got, err)
	}
	anonymous, creator := b.client, b.client
	anonymous.Signer = nil
	token, _ := testKeys(t, nil).Sign(identity.Principal{Kind: identity.Creator, ID: "c", TenantID: "main"})
	creator.Signer = wrongSigner(token)
	forged := b.client
	forged.Signer = wrongSigner(token + "AA")
	for _, test := range []struct {
		name   string
		client ClientConfig
		id     string
		want   connect.Code
	}{
		{"no principal", anonymous, "v", connect.CodeUnauthenticated},
		{"forged principal", forged, "v", connect.CodeUnauthenticated},
		{"wrong kind", creator, "v", connect.CodePermissionDenied},
		{"invalid message", b.client, "", connect.CodeInvalidArgument},
		{"panic", b.client, "panic", connect.CodeInternal},
		{"unknown error", b.client, "fault", connect.CodeInternal},
	} {
		got, err := watch(t, t.Context(), test.client, test.id, nil)
		if connect.CodeOf(err) != test.want || test.want != connect.CodeInternal && len(got) > 0 || errors.Is(err, errSecret) {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}

func TestShutdownEndsStreams(t *testing.T) {
	b := watching(t, func(ctx context.Context, _ *storefrontv1.GetVideoRequest, stream *watchStream) error {
		if err := stream.Send(&storefrontv1.GetVideoResponse{Video: video("first")}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	done := make(chan error, 1)
	got, err := watch(t, t.Context(), b.client, "v", func() {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			done <- b.server.Shutdown(ctx)
		}()
	})
	if connect.CodeOf(err) != connect.CodeUnavailable || len(got) != 1 {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// TestClientHangsUp: the handler of a stream is told.
func TestClientHangsUp(t *testing.T) {
	ended := make(chan struct{})
	b := watching(t, func(ctx context.Context, _ *storefrontv1.GetVideoRequest, stream *watchStream) error {
		defer close(ended)
		if err := stream.Send(&storefrontv1.GetVideoResponse{Video: video("first")}); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := watch(t, ctx, b.client, "v", cancel); connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("err = %v", err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the handler was not told")
	}
}
