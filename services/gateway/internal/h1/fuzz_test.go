package h1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

func FuzzRequestAgainstNetHTTP(f *testing.F) {
	for _, test := range refused {
		if len(test.head) < 1000 {
			f.Add([]byte(test.head + "5\r\nhello\r\n0\r\n\r\n"))
		}
	}
	f.Add(append(slices.Clone(browser), small...))
	f.Add([]byte("POST http://a/b?c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: x-a\r\nX-A: 1\r\nx-b: 2\r\n\r\n5;a\r\nhello\r\n0\r\nX: y\r\n\r\nrest"))
	f.Add([]byte("POST / HTTP/1.0\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var ours exchange.Request
		n, err := ParseRequest(b, &ours, Limits{})
		if n < 0 || n > len(b) || err != nil && n != 0 {
			t.Fatalf("n=%d err=%v of %d bytes", n, err, len(b))
		}
		if n == 0 {
			return
		}
		again(t, &ours)
		reader := bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\r\n"))))
		theirs, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		sameRequest(t, &ours, theirs)
		sameBody(t, &ours, b[n:], theirs.Body)
	})
}

// again checks that what we send on is read by ourselves as we understood it.
func again(t *testing.T, r *exchange.Request) {
	out := AppendRequest(nil, r, RequestOptions{Host: []byte("default"), Close: r.ServerEnd && r.Upgrade == nil})
	var second exchange.Request
	n, err := ParseRequest(out, &second, Limits{Line: 1 << 20, Head: 1 << 20, Fields: 1000})
	if err != nil || n != len(out) {
		t.Fatalf("our own %q: n=%d err=%v", out, n, err)
	}
	first := *r
	if len(first.Authority) == 0 {
		first.Authority = []byte("default")
	}
	first.Protocol, first.Expect, first.ServerEnd = exchange.HTTP11, false, second.ServerEnd
	if first.Upgrade != nil {
		second.Trailers = first.Trailers
	}
	if a, b := show(&first), show(&second); a != b {
		t.Fatalf("sent on as something else:\n%s\n%s", a, b)
	}
}

func sameRequest(t *testing.T, ours *exchange.Request, theirs *http.Request) {
	if string(ours.Method) != theirs.Method || string(ours.Authority) != theirs.Host {
		t.Fatalf("ours %s, theirs %s %s", show(ours), theirs.Method, theirs.Host)
	}
	target := string(ours.Path)
	if ours.HasQuery {
		target += "?" + string(ours.Query)
	}
	uri := theirs.RequestURI
	if strings.HasPrefix(strings.ToLower(uri), "http") {
		_, uri, _ = strings.Cut(uri, "://")
		if at := strings.IndexAny(uri, "/?"); at < 0 {
			uri = "/"
		} else if uri = uri[at:]; uri[0] == '?' {
			uri = "/" + uri
		}
	}
	if target != uri {
		t.Fatalf("target %q, theirs %q", target, uri)
	}
	// Go takes Content-Length with 204-like methods alike; a GET without one has 0.
	if ours.Length != theirs.ContentLength {
		t.Fatalf("length %d, theirs %d", ours.Length, theirs.ContentLength)
	}
	if ours.Length == exchange.Unknown != slices.Equal(theirs.TransferEncoding, []string{"chunked"}) {
		t.Fatalf("length %d, their coding %q", ours.Length, theirs.TransferEncoding)
	}
	if theirs.Close && !ours.ServerEnd {
		t.Fatal("they close, we do not")
	}
	for _, field := range ours.Fields {
		if field.ID != exchange.Removed && !slices.Contains(theirs.Header.Values(string(field.Name)), string(field.Value)) {
			t.Fatalf("field %q: %q, theirs %q", field.Name, field.Value, theirs.Header)
		}
	}
}

func sameBody(t *testing.T, ours *exchange.Request, b []byte, body io.Reader) {
	theirs, err := io.ReadAll(body)
	if err != nil {
		return
	}
	if ours.Length >= 0 {
		if int64(len(theirs)) != ours.Length || !bytes.HasPrefix(b, theirs) {
			t.Fatalf("body of %d bytes, theirs %q", ours.Length, theirs)
		}
		return
	}
	var c Chunked
	data, _, done, err := decode(&c, string(b), len(b)+1)
	if err == nil && (!done || data != string(theirs)) {
		t.Fatalf("body %q done=%v, theirs %q", data, done, theirs)
	}
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nrest"), 3)
	f.Add([]byte("5 ;a\r\nhello\r\n0\r\nHost: y\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		if piece < 1 {
			return
		}
		var whole, parts Chunked
		data, rest, done, err := decode(&whole, string(b), len(b)+1)
		data2, rest2, done2, err2 := decode(&parts, string(b), piece)
		if done != done2 || (err == nil) != (err2 == nil) || data != data2 || done && rest != rest2 {
			t.Fatalf("whole: %q %q %v %v; by %d: %q %q %v %v", data, rest, done, err, piece, data2, rest2, done2, err2)
		}
	})
}

func FuzzResponseAgainstNetHTTP(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), false)
	f.Add([]byte("HTTP/1.0 304 Not Modified\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"), true)
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nuntil the end"), false)
	f.Fuzz(func(t *testing.T, b []byte, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		var ours exchange.Response
		n, framing, err := ParseResponse(b, &ours, []byte(method), Limits{})
		if n < 0 || n > len(b) || err != nil && n != 0 {
			t.Fatalf("n=%d err=%v of %d bytes", n, err, len(b))
		}
		if n == 0 || ours.Status == http.StatusSwitchingProtocols {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: method})
		if err != nil {
			return
		}
		if ours.Status != theirs.StatusCode {
			t.Fatalf("status %d, theirs %d", ours.Status, theirs.StatusCode)
		}
		body, err := io.ReadAll(theirs.Body)
		if err != nil {
			return
		}
		switch {
		case ours.NoBody:
			if len(body) > 0 {
				t.Fatalf("no body, theirs %q", body)
			}
		case framing.Chunked:
			var c Chunked
			if data, _, _, err := decode(&c, string(b[n:]), len(b)); err == nil && data != string(body) {
				t.Fatalf("body %q, theirs %q", data, body)
			}
		case framing.UntilClose:
			if string(body) != string(b[n:]) {
				t.Fatalf("body %q, theirs %q", b[n:], body)
			}
		case int64(len(body)) != ours.Length:
			t.Fatalf("length %d, theirs %d", ours.Length, len(body))
		}
	})
}
