package h2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// answering reads the body and answers.
type answering struct{}

// Serve implements exchange.Handler.
func (answering) Serve(_ context.Context, x *exchange.Exchange) error {
	buffer := make([]byte, 1<<10)
	for {
		if _, err := x.Client.ReadBody(buffer); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			x.Client.Abort()
			return err
		}
	}
	x.Response = exchange.Response{Status: 200, Length: 2}
	if err := x.Client.WriteHead(&x.Response); err != nil {
		return err
	}
	if _, err := x.Client.WriteBody([]byte("ok")); err != nil {
		return err
	}
	return x.Client.End(x.Client.RequestTrailers())
}

// FuzzServer feeds a server what may come after the preface. It must neither
// crash nor hang, and leave no stream behind.
func FuzzServer(f *testing.F) {
	head := []byte{0x82, 0x87, 0x84, 0x41, 0x01, 'a'}
	settings := appendSettings(nil, setting{settingInitialWindow, 1})
	f.Add(appendHeaders(bytes.Clone(settings), 1, flagEndStream, head, maxFrame))
	f.Add(appendFrame(appendHeaders(bytes.Clone(settings), 1, 0, head, 2), 0, frameData, flagEndStream, 1))
	f.Add(appendReset(appendWindowUpdate(appendHeaders(bytes.Clone(settings), 1, 0, head, maxFrame), 1, 7), 1, Cancel))
	f.Add(appendGoAway(appendPing(bytes.Clone(settings), 0, 1), 0, NoError, "x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		server := NewServer(Config{Handler: answering{}})
		far, near := net.Pipe()
		_ = near.SetDeadline(time.Now().Add(5 * time.Second))
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.Serve(context.Background(), far, []byte(Preface), nil)
		}()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_, _ = io.Copy(io.Discard, near)
		}()
		_, _ = near.Write(data)
		_ = near.Close()
		<-done
		<-drained
		server.Close()
		if n := len(server.conns); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// FuzzHead decodes a block into a request. What is taken is well formed, and
// is read the same from the block that goes to an upstream, by x/net's decoder.
func FuzzHead(f *testing.F) {
	encode := func(fields ...string) []byte {
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		for i := 0; i < len(fields); i += 2 {
			_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		return block.Bytes()
	}
	base := []string{":method", "POST", ":scheme", "https", ":path", "/a?b=c", ":authority", "x.test:80"}
	f.Add(encode(base...))
	f.Add(encode(append(base, "cookie", "a=b", "cookie", "c=d", "te", "trailers", "x-y", "z")...))
	f.Add(encode(append(base, "content-length", "12", "host", "x.test:80", "expect", "100-continue")...))
	f.Add(encode(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/", ":authority", "a"))
	f.Fuzz(func(t *testing.T, block []byte) {
		d := newHeadDecoder(8 << 10)
		var x exchange.Exchange
		d.begin(requestHead, &x.Request.Fields, &x.Arena)
		if d.decode(block) != nil || d.head.tooLarge || d.head.request(&x.Request, false) != nil {
			return
		}
		r := &x.Request
		for _, field := range r.Fields {
			if bytes.ContainsAny(field.Value, "\r\n\x00") || bytes.ContainsAny(field.Name, "\r\n\x00: ") || len(field.Name) == 0 {
				t.Fatalf("field %q: %q was taken", field.Name, field.Value)
			}
		}
		if bytes.ContainsAny(r.Path, "\r\n \x00?#") || bytes.ContainsAny(r.Query, "\r\n \x00#") || bytes.ContainsAny(r.Authority, "\r\n \x00@/") {
			t.Fatalf("path %q, query %q, authority %q were taken", r.Path, r.Query, r.Authority)
		}
		sent := appendRequest(nil, r, true)
		fields, err := hpack.NewDecoder(headerTable, nil).DecodeFull(sent)
		if err != nil {
			t.Fatalf("what is sent cannot be decoded: %v", err)
		}
		got := map[string]string{}
		for _, field := range fields {
			got[field.Name] = field.Value
		}
		want := string(r.Path)
		if r.HasQuery {
			want += "?" + string(r.Query)
		}
		if got[":path"] != want || r.Upgrade == nil && got[":method"] != string(r.Method) {
			t.Fatalf("sent %v of path %q, method %q", got, want, r.Method)
		}
	})
}
