package rpc

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// TestShutdownWaitsForCalls also proves that no answer is lost on the way out.
func TestShutdownWaitsForCalls(t *testing.T) {
	overEach(t, func(t *testing.T, b *bench) {
		conn := b.conn(t, nil)
		b.warm(t, conn)
		entered, release := make(chan struct{}), make(chan struct{})
		b.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
			close(entered)
			<-release
			return &storefrontv1.GetVideoResponse{Video: video("late")}, nil
		})
		var group sync.WaitGroup
		group.Go(func() {
			res, err := get(t.Context(), conn)
			if err != nil || res.GetVideo().GetTitle() != "late" {
				t.Errorf("the call in flight ended with %v, %v", res, err)
			}
		})
		<-entered
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		done := make(chan error, 1)
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			done <- b.server.Shutdown(ctx)
		})
		select {
		case err := <-done:
			t.Errorf("shutdown did not wait: %v", err)
		case <-short.Done():
		}
		close(release)
		group.Wait()
		if err := <-done; err != nil {
			t.Errorf("shutdown: %v", err)
		}
		_, err := publish(t.Context(), conn, validPublish())
		wantCode(t, err, connect.CodeUnavailable)
	})
}

func TestShutdownGivesUpWithItsContext(t *testing.T) {
	b := newBench(t, "local", ServerConfig{})
	b.reach(Endpoint{Local: b.server})
	entered, release := make(chan struct{}), make(chan struct{})
	b.onGet(func(context.Context) (*storefrontv1.GetVideoResponse, error) {
		close(entered)
		<-release
		return &storefrontv1.GetVideoResponse{}, nil
	})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-entered
		leave()
	}()
	if _, err := get(ctx, b.conn(t, nil)); connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("err = %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.server.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown with a handler that stays: %v", err)
	}
	close(release)
}

func TestPlainTextStaysOnTheMachine(t *testing.T) {
	server := NewServer(ServerConfig{Service: "shop"})
	server.Handle(shopDesc, new(shop))
	for _, address := range []string{"0.0.0.0:0", "[::]:0"} {
		if err := server.Serve(listen(t, "tcp", address)); !errors.Is(err, errPlain) {
			t.Errorf("serve on %s: %v", address, err)
		}
		if err := server.ServeKitex(listen(t, "tcp", address)); !errors.Is(err, errPlain) {
			t.Errorf("serve Kitex on %s: %v", address, err)
		}
	}
}

func TestServingAfterShutdownEndsAtOnce(t *testing.T) {
	server := NewServer(ServerConfig{Service: "shop"})
	server.Handle(shopDesc, new(shop))
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(listen(t, "tcp", "127.0.0.1:0")); err != nil {
		t.Errorf("serve: %v", err)
	}
	if err := server.ServeKitex(listen(t, "tcp", "127.0.0.1:0")); err != nil {
		t.Errorf("serve Kitex: %v", err)
	}
}

func TestHandleRefusesWhatCannotBeServed(t *testing.T) {
	for name, handle := range map[string]func(*Server){
		"handled twice":  func(s *Server) { s.Handle(shopDesc, new(shop)); s.Handle(shopDesc, new(shop)) },
		"is not rpc.sho": func(s *Server) { s.Handle(shopDesc, struct{}{}) },
	} {
		func() {
			defer func() {
				text := ""
				switch value := recover().(type) {
				case string:
					text = value
				case error:
					text = value.Error()
				}
				if !strings.Contains(text, name) {
					t.Errorf("%s: panic %q", name, text)
				}
			}()
			handle(NewServer(ServerConfig{}))
		}()
	}
}
