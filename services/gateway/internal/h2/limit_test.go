package h2_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h2"
)

// ok answers at once, without looking at the body.
func ok(_ context.Context, x *exchange.Exchange) error {
	x.Response = exchange.Response{Status: 200, Length: 0}
	if err := x.Client.WriteHead(&x.Response); err != nil {
		return err
	}
	return x.Client.End(nil)
}

// stuck answers when its client has gone.
func stuck(ctx context.Context, x *exchange.Exchange) error {
	<-ctx.Done()
	x.Client.Abort()
	return exchange.ErrGone
}

const enhanceYourCalm = 0xb

// TestFloodsEndTheConnection: what costs a client nothing and us something is
// bounded, and the client is told.
func TestFloodsEndTheConnection(t *testing.T) {
	number := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for name, flood := range map[string]func(p *peer, i int){
		"rapid reset (CVE-2023-44487)": func(p *peer, i int) {
			stream := uint32(2*i + 1)
			p.headers(stream, true, get...)
			p.reset(stream, 8)
		},
		"streams that we are made to reset (CVE-2025-8671)": func(p *peer, i int) {
			stream := uint32(2*i + 1)
			p.headers(stream, true, get...)
			p.frame(frameWindowUpdate, 0, stream, number(0)...)
		},
		"PING":            func(p *peer, _ int) { p.frame(framePing, 0, 0, make([]byte, 8)...) },
		"PING's answers":  func(p *peer, _ int) { p.frame(framePing, 1, 0, make([]byte, 8)...) },
		"SETTINGS":        func(p *peer, _ int) { p.settings() },
		"PRIORITY":        func(p *peer, _ int) { p.frame(0x2, 0, 1, 0, 0, 0, 3, 1) },
		"unknown frames":  func(p *peer, _ int) { p.frame(0xbe, 0, 0) },
		"WINDOW_UPDATE":   func(p *peer, _ int) { p.frame(frameWindowUpdate, 0, 0, number(1)...) },
		"empty DATA":      func(p *peer, i int) { first(p, i); p.frame(frameData, 0, 1) },
		"malformed heads": func(p *peer, i int) { p.headers(uint32(2*i+1), true, 0x82, 0x82) },
		"CONTINUATION (CVE-2024-27316)": func(p *peer, i int) {
			if i == 0 {
				p.frame(frameHeaders, 0, 1, get...)
			}
			p.frame(frameContinuation, 0, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := serveTest(t, h2.Config{Handler: handlerFunc(stuck)}, nil)
			p := dialPeer(t, address)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := range 200_000 {
					before := p.failed
					if flood(p, i); p.failed && before {
						return
					}
				}
			}()
			if _, code := p.awaitGoAway(); code != enhanceYourCalm {
				t.Errorf("the connection ended by code %d", code)
			}
			_ = p.nc.Close()
			<-done
		})
	}
}

// first opens stream 1 with a body to come.
func first(p *peer, i int) {
	if i == 0 {
		p.headers(1, false, get...)
	}
}

func TestAHeadThatIsTooLargeIsAnswered431AndTheConnectionGoesOn(t *testing.T) {
	address, _ := serveTest(t, h2.Config{Handler: handlerFunc(ok), Limits: h2.Limits{MaxHeader: 8 << 10}}, nil)
	p := dialPeer(t, address)
	var block bytes.Buffer
	block.Write(get)
	encoder := hpack.NewEncoder(&block)
	for range 100 { // one entry of the dynamic table, named by a byte each time
		_ = encoder.WriteField(hpack.HeaderField{Name: "x-bomb", Value: string(bytes.Repeat([]byte("b"), 2000))})
	}
	if block.Len() > 4<<10 {
		t.Fatalf("block has %d bytes: not small", block.Len())
	}
	p.headers(1, true, block.Bytes()...)
	if status := p.awaitStatus(1); status != "431" {
		t.Errorf("status is %s, want 431", status)
	}
	p.headers(3, true, get...)
	if status := p.awaitStatus(3); status != "200" {
		t.Errorf("the next request got %s", status)
	}
}

func TestAnEarlyAnswerStopsTheRequestsBody(t *testing.T) {
	address, _ := serveTest(t, h2.Config{Handler: handlerFunc(ok)}, nil)
	p := dialPeer(t, address)
	p.headers(1, false, get...)
	if status := p.awaitStatus(1); status != "200" {
		t.Errorf("status is %s", status)
	}
	for {
		kind, _, stream, payload := p.next()
		if kind == 0xff {
			t.Fatal("the connection ended")
		}
		if kind == frameReset {
			if code := binary.BigEndian.Uint32(payload); stream != 1 || code != 0 {
				t.Errorf("stream %d was reset by %d, want 1 by NO_ERROR", stream, code)
			}
			break
		}
	}
	p.frame(frameData, 1, 1, make([]byte, 100)...) // was under way
	p.headers(3, true, get...)
	if status := p.awaitStatus(3); status != "200" {
		t.Errorf("the next request got %s", status)
	}
}

func TestStreamsBeyondTheLimitAreRefused(t *testing.T) {
	address, _ := serveTest(t, h2.Config{Handler: handlerFunc(stuck), Limits: h2.Limits{MaxStreams: 2}}, nil)
	p := dialPeer(t, address)
	for _, stream := range []uint32{1, 3, 5} {
		p.headers(stream, true, get...)
	}
	if stream := p.await(frameReset); stream != 5 {
		t.Errorf("stream %d was refused, want 5", stream)
	}
}

func TestDrainKeepsLongStreams(t *testing.T) {
	address, server := serveTest(t, h2.Config{Handler: handlerFunc(echo)}, nil)
	p := dialPeer(t, address)
	p.headers(1, false, get...)
	if status := p.awaitStatus(1); status != "200" {
		t.Fatalf("status is %s", status)
	}
	server.Drain()
	if last, code := p.awaitGoAway(); last != 1<<31-1 || code != 0 {
		t.Errorf("first GOAWAY names %d, %d", last, code)
	}
	for { // new streams are served until the client knows
		kind, flags, _, payload := p.next()
		if kind == framePing && flags == 0 {
			p.headers(3, true, get...)
			p.frame(framePing, 1, 0, payload...)
			break
		}
	}
	for answered, told := false, false; !answered || !told; { // in either order
		kind, flags, stream, payload := p.next()
		switch {
		case kind == 0xff:
			t.Fatal("the connection ended before its streams did")
		case stream == 3 && flags&1 != 0:
			answered = true
		case kind == frameGoAway:
			if last := binary.BigEndian.Uint32(payload); last != 3 {
				t.Errorf("last GOAWAY names %d, want 3", last)
			}
			told = true
		}
	}
	p.headers(5, true, get...) // ignored
	p.frame(frameData, 0, 1, 'a', 'b')
	if stream := p.await(frameData); stream != 1 {
		t.Errorf("data came of stream %d", stream)
	}
	p.frame(frameData, 1, 1)
	for kind := byte(0); kind != 0xff; {
		var stream uint32
		if kind, _, stream, _ = p.next(); kind != 0xff && stream == 5 {
			t.Error("a stream after the last GOAWAY was answered")
		}
	}
}

// TestIdleAndSlowConnectionsEnd runs on a clock of its own.
func TestIdleAndSlowConnectionsEnd(t *testing.T) {
	for name, test := range map[string]struct {
		send func(p *peer)
		code uint32
		most time.Duration
	}{
		"idle":       {func(p *peer) { p.settings(); p.headers(1, true, get...) }, 0, 3 * time.Minute},
		"no preface": {func(*peer) {}, 4, 11 * time.Second},
		"slow head":  {func(p *peer) { p.settings(); p.frame(frameHeaders, 0, 1, get...) }, enhanceYourCalm, 11 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := h2.NewServer(h2.Config{Handler: handlerFunc(ok)})
				far, near := net.Pipe()
				done := make(chan struct{})
				go func() {
					defer close(done)
					server.Serve(context.Background(), far, nil, nil)
				}()
				p := &peer{t: t, nc: near}
				began := time.Now()
				go func() {
					if name != "no preface" {
						_, _ = io.WriteString(near, h2.Preface)
					}
					test.send(p)
				}()
				if _, code := p.awaitGoAway(); code != test.code {
					t.Errorf("code is %d, want %d", code, test.code)
				}
				if took := time.Since(began); took > test.most {
					t.Errorf("it took %v, want at most %v", took, test.most)
				}
				_ = near.Close()
				<-done
				server.Close()
			})
		})
	}
}

func TestWebSocketsComeByExtendedConnect(t *testing.T) {
	handler := handlerFunc(func(_ context.Context, x *exchange.Exchange) error {
		key, _ := x.Request.Fields.Find("sec-websocket-key")
		if string(x.Request.Method) != "GET" || string(x.Request.Upgrade) != "websocket" || len(key) != 24 {
			t.Errorf("request is %s, upgrade %q, key %q", x.Request.Method, x.Request.Upgrade, key)
		}
		x.Response = exchange.Response{Status: 101, Upgrade: x.Request.Upgrade}
		x.Response.Fields.Add(exchange.Other, []byte("Sec-WebSocket-Accept"), []byte("x"))
		if err := x.Client.WriteHead(&x.Response); err != nil {
			return err
		}
		both, err := x.Client.Upgrade()
		if err != nil {
			return err
		}
		if _, err := io.Copy(both, both); err != nil {
			return err
		}
		return both.Close()
	})
	address, _ := serveTest(t, h2.Config{Handler: handler}, nil)
	p := dialPeer(t, address)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "CONNECT"},
		{":protocol", "websocket"},
		{":scheme", "https"},
		{":path", "/chat"},
		{":authority", "a"},
		{"sec-websocket-version", "13"},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	p.headers(1, false, block.Bytes()...)
	if status := p.awaitStatus(1); status != "200" {
		t.Errorf("status is %s", status)
	}
	p.frame(frameData, 0, 1, 'h', 'i')
	for {
		kind, _, _, payload := p.next()
		if kind == frameData {
			if string(payload) != "hi" {
				t.Errorf("got %q", payload)
			}
			break
		}
		if kind == 0xff {
			t.Fatal("the connection ended")
		}
	}
	p.frame(frameData, 1, 1)
	for kind, flags := byte(0), byte(0); kind != frameData || flags&1 == 0; {
		if kind, flags, _, _ = p.next(); kind == 0xff {
			t.Fatal("the connection ended before the stream did")
		}
	}
}

func TestAClientThatTakesNothingIsTooSlow(t *testing.T) {
	result := make(chan error, 1)
	handler := handlerFunc(func(_ context.Context, x *exchange.Exchange) error {
		x.Response = exchange.Response{Status: 200, Length: exchange.Unknown}
		_ = x.Client.WriteHead(&x.Response)
		_, err := x.Client.WriteBody(make([]byte, 1<<20)) // the window is 64 KiB
		result <- err
		x.Client.Abort()
		return err
	})
	address, _ := serveTest(t, h2.Config{Handler: handler, Limits: h2.Limits{WriteTimeout: 20 * time.Millisecond}}, nil)
	p := dialPeer(t, address)
	p.headers(1, true, get...)
	if err := <-result; !errors.Is(err, exchange.ErrTooSlow) {
		t.Errorf("error is %v", err)
	}
}
