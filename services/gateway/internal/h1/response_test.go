package h1

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

func showResponse(r *exchange.Response, f Framing) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d length=%d", r.Status, r.Length)
	for i, on := range []bool{r.NoBody, f.Chunked, f.UntilClose, f.KeepAlive} {
		if on {
			out.WriteString([]string{" nobody", " chunked", " until-close", " keep"}[i])
		}
	}
	if r.Upgrade != nil {
		fmt.Fprintf(&out, " upgrade=%s", r.Upgrade)
	}
	for _, field := range r.Fields {
		if field.ID != exchange.Removed {
			fmt.Fprintf(&out, " [%s=%s]", field.Name, field.Value)
		}
	}
	return out.String()
}

func TestParseResponseUnderstands(t *testing.T) {
	for _, test := range []struct{ method, head, want string }{
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\n", "200 length=5 keep [X-A=b]"},
		{"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 length=0 keep"},
		{"GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200 length=0 keep"},
		{"GET", "HTTP/1.1 999 Caf\xe9 \t closed\r\nContent-Length: 0\r\n\r\n", "999 length=0 keep"},
		{"GET", "HTTP/1.1 200 OK\r\nConnection: close, X-A\r\nX-A: b\r\nKeep-Alive: 5\r\nContent-Length: 5\r\n\r\n", "200 length=5"},
		{"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n", "200 length=-1 chunked keep [Trailer=X]"},
		{"GET", "HTTP/1.1 200 OK\r\n\r\n", "200 length=-1 until-close"},
		{"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "200 length=5"},
		{"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", "200 length=5 keep"},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 length=5 nobody keep"},
		{"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 length=-1 nobody keep"},
		{"HEAD", "HTTP/1.1 200 OK\r\n\r\n", "200 length=-1 nobody keep"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 length=5 nobody keep"},
		{"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204 length=-1 nobody keep"},
		{"GET", "HTTP/1.1 100 Continue\r\n\r\n", "100 length=-1 nobody keep"},
		{"GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "103 length=-1 nobody keep [Link=</a>]"},
		{"GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "101 length=-1 nobody upgrade=websocket"},
	} {
		var r exchange.Response
		n, f, err := ParseResponse([]byte(test.head+"rest"), &r, []byte(test.method), Limits{})
		if err != nil || n != len(test.head) {
			t.Errorf("%q: n=%d err=%v, want %d bytes", test.head, n, err, len(test.head))
			continue
		}
		if got := showResponse(&r, f); got != test.want {
			t.Errorf("%q:\n got %s\nwant %s", test.head, got, test.want)
		}
		for cut := range len(test.head) {
			if n, _, err := ParseResponse([]byte(test.head[:cut]), &r, nil, Limits{}); n != 0 || err != nil {
				t.Fatalf("%q: n=%d err=%v, want more bytes to be asked for", test.head[:cut], n, err)
			}
		}
	}
}

func TestParseResponseRefuses(t *testing.T) {
	for _, test := range []struct {
		head string
		want *Error
	}{
		{"ICY 200 OK\r\n\r\n", ErrStatusLine},
		{"<html>", ErrStatusLine},
		{"HTTP/2.0 200 OK\r\n\r\n", ErrStatusLine},
		{"HTTP/1.1  200 OK\r\n\r\n", ErrStatusLine},
		{"HTTP/1.1 2000 OK\r\n\r\n", ErrStatusLine},
		{"HTTP/1.1 20 OK\r\n\r\n..", ErrStatusLine},
		{"HTTP/1.1 099 OK\r\n\r\n", ErrStatusLine},
		{"HTTP/1.1 200 OK\n\n", ErrLineEnd},
		{"HTTP/1.1 200 O\x00K\r\n\r\n", ErrLineEnd},
		{"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", ErrName},
		{"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", ErrFold},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", ErrLengthTwice},
		{"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", ErrLength},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", ErrLengthCoding},
		{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ErrCodingOld},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ErrCodingUnknown},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", ErrCoding},
		{"HTTP/1.1 101 Switching Protocols\r\n\r\n", ErrConnection},
		{"HTTP/1.1 200 " + strings.Repeat("a", DefaultHead), ErrHeadLong},
	} {
		var r exchange.Response
		n, _, err := ParseResponse([]byte(test.head), &r, []byte("GET"), Limits{})
		if n != 0 || !errors.Is(err, error(test.want)) {
			t.Errorf("%.60q: n=%d err=%v, want %v", test.head, n, err, test.want)
		}
	}
}

func TestAppendResponseFramesForTheProtocol(t *testing.T) {
	date := []byte("Wed, 25 Nov 2026 19:00:00 GMT")
	for _, test := range []struct {
		r    exchange.Response
		o    ResponseOptions
		want string
	}{
		{exchange.Response{Status: 200, Length: 5}, ResponseOptions{Protocol: exchange.HTTP11}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
		{
			exchange.Response{Status: 200, Length: 0},
			ResponseOptions{Protocol: exchange.HTTP11, Date: date},
			"HTTP/1.1 200 OK\r\nDate: Wed, 25 Nov 2026 19:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
		},
		{exchange.Response{Status: 200, Length: 5}, ResponseOptions{Protocol: exchange.HTTP10}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"},
		{exchange.Response{Status: 200, Length: -1}, ResponseOptions{Protocol: exchange.HTTP11}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{exchange.Response{Status: 200, Length: -1}, ResponseOptions{Protocol: exchange.HTTP10, Close: true}, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
		{exchange.Response{Status: 304, Length: 5, NoBody: true}, ResponseOptions{Protocol: exchange.HTTP11}, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
		{exchange.Response{Status: 304, Length: -1, NoBody: true}, ResponseOptions{Protocol: exchange.HTTP11}, "HTTP/1.1 304 Not Modified\r\n\r\n"},
		{exchange.Response{Status: 204, Length: 0, NoBody: true}, ResponseOptions{Protocol: exchange.HTTP11}, "HTTP/1.1 204 No Content\r\n\r\n"},
		{exchange.Response{Status: 103, Length: -1}, ResponseOptions{Protocol: exchange.HTTP11, Date: date, Close: true}, "HTTP/1.1 103 Early Hints\r\n\r\n"},
		{
			exchange.Response{Status: 101, Upgrade: []byte("websocket"), NoBody: true},
			ResponseOptions{Protocol: exchange.HTTP11},
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		},
		{exchange.Response{Status: 999, Length: 0}, ResponseOptions{Protocol: exchange.HTTP11}, "HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n"},
	} {
		if got := string(AppendResponse(nil, &test.r, test.o)); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestAppendRequestFrames(t *testing.T) {
	for _, test := range []struct {
		r    exchange.Request
		o    RequestOptions
		want string
	}{
		{
			exchange.Request{Method: []byte("GET"), Path: []byte("/a"), HasQuery: true, Authority: []byte("h")},
			RequestOptions{},
			"GET /a? HTTP/1.1\r\nHost: h\r\n\r\n",
		},
		{
			exchange.Request{Method: []byte("POST"), Path: []byte("/")},
			RequestOptions{Host: []byte("u:1"), Close: true},
			"POST / HTTP/1.1\r\nHost: u:1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		},
		{
			exchange.Request{Method: []byte("GET"), Path: []byte("/"), Authority: []byte("h"), Length: 3},
			RequestOptions{},
			"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
		},
		{
			exchange.Request{Method: []byte("PUT"), Path: []byte("/"), Authority: []byte("h"), Length: -1, Trailers: true},
			RequestOptions{},
			"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTe: trailers\r\nConnection: Te\r\n\r\n",
		},
		{
			exchange.Request{Method: []byte("GET"), Path: []byte("/"), Authority: []byte("h"), Upgrade: []byte("websocket")},
			RequestOptions{},
			"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		},
	} {
		if got := string(AppendRequest(nil, &test.r, test.o)); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestNoValueBeginsALineOfItsOwn(t *testing.T) {
	r := exchange.Request{Method: []byte("GET"), Path: []byte("/"), Authority: []byte("h")}
	r.Fields.Add(exchange.Other, []byte("X-Claim"), []byte("a\r\nContent-Length: 5\r\n\r\nGET /\x00\tb"))
	r.Fields.Add(exchange.Other, []byte("X-Gone"), []byte("a"))
	r.Fields.RemoveName("x-gone")
	want := "GET / HTTP/1.1\r\nHost: h\r\nX-Claim: a  Content-Length: 5    GET / \tb\r\n\r\n"
	if got := string(AppendRequest(nil, &r, RequestOptions{})); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseResponseAllocatesNothing(t *testing.T) {
	head := []byte("HTTP/1.1 200 OK\r\nServer: test\r\nDate: Wed, 25 Nov 2026 19:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 128\r\n\r\n")
	r := exchange.Response{Fields: make(exchange.Fields, 0, 32)}
	out := make([]byte, 0, 4096)
	got := testing.AllocsPerRun(100, func() {
		if n, _, err := ParseResponse(head, &r, []byte("GET"), Limits{}); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		out = AppendResponse(out[:0], &r, ResponseOptions{Protocol: exchange.HTTP11})
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
