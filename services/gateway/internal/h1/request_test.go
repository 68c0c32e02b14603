package h1

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// show writes what was understood of a request on one line.
func show(r *exchange.Request) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s %s", r.Protocol, r.Method, r.Path)
	if r.HasQuery {
		fmt.Fprintf(&out, "?%s", r.Query)
	}
	fmt.Fprintf(&out, " host=%s length=%d", r.Authority, r.Length)
	if r.ServerEnd {
		out.WriteString(" end")
	}
	if r.Expect {
		out.WriteString(" expect")
	}
	if r.Trailers {
		out.WriteString(" trailers")
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

func TestParseRequestUnderstands(t *testing.T) {
	for _, test := range []struct{ head, want string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 GET / host=a length=0"},
		{"\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 GET /x host=a length=0"},
		{"GET /p?q?r HTTP/1.1\r\nhOST:  a.b:80 \t\r\nX-A:\r\nX-B: 1 2\t3 \r\n\r\n", "HTTP/1.1 GET /p?q?r host=a.b:80 length=0 [X-A=] [X-B=1 2\t3]"},
		{"GET /p? HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 GET /p? host=a length=0"},
		{"GET /../%2e//|{}\\^ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 GET /../%2e//|{}\\^ host=a length=0"},
		{"GET http://a.b:8080?x HTTP/1.1\r\nHost: A.b:8080\r\n\r\n", "HTTP/1.1 GET /?x host=a.b:8080 length=0"},
		{"GET HTTPS://a/p HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 GET /p host=a length=0"},
		{"GET http://a/p HTTP/1.0\r\n\r\n", "HTTP/1.0 GET /p host=a length=0 end"},
		{"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 GET / host= length=0 end"},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n\r\n", "HTTP/1.0 GET / host= length=0"},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "HTTP/1.0 GET / host= length=0 end"},
		{"GET / HTTP/1.7\r\nHost: a\r\n\r\n", "HTTP/1.1 GET / host=a length=0"},
		{"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "HTTP/1.1 GET / host=[::1]:80 length=0"},
		{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 OPTIONS * host=a length=0"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n", "HTTP/1.1 POST / host=a length=7"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n", "HTTP/1.1 POST / host=a length=9223372036854775807"},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tChunked \r\n\r\n", "HTTP/1.1 POST / host=a length=-1"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n", "HTTP/1.1 POST / host=a length=1 expect"},
		{"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 GET / host=a length=0"},
		{"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.0 POST / host= length=1 end"},
		{"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=1, trailers\r\n\r\n", "HTTP/1.1 GET / host=a length=0 trailers"},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 GET / host=a length=0 upgrade=websocket"},
		{"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 GET / host=a length=0"},
		{"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.0 GET / host=a length=0 end"},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n", "HTTP/1.1 GET / host=a length=0"},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", "HTTP/1.1 GET / host=a length=0"},
		{
			"GET / HTTP/1.1\r\nX-B: 1\r\nHost: a\r\nConnection: close, X-A,,x-b\r\nConnection:\r\nX-A: 1\r\nProxy-Connection: x\r\nX-a: 2\r\nX-C: 3\r\n\r\n",
			"HTTP/1.1 GET / host=a length=0 end [X-C=3]",
		},
		{"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\n\r\n", "HTTP/1.1 GET / host=a length=0 [X=caf\xe9]"},
		{"M!#$%&'*+-.^_`|~1 / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 M!#$%&'*+-.^_`|~1 / host=a length=0"},
		// Options that would take framing away do not.
		{"POST / HTTP/1.1\r\nHost: a\r\nConnection: close, Content-Length, Host\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 POST / host=a length=3 end"},
		{"POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 POST / host=a length=-1"},
	} {
		var r exchange.Request
		n, err := ParseRequest([]byte(test.head+"rest"), &r, Limits{})
		if err != nil || n != len(test.head) {
			t.Errorf("%q: n=%d err=%v, want %d bytes", test.head, n, err, len(test.head))
			continue
		}
		if got := show(&r); got != test.want {
			t.Errorf("%q:\n got %s\nwant %s", test.head, got, test.want)
		}
		for cut := range len(test.head) {
			if n, err := ParseRequest([]byte(test.head[:cut]), &r, Limits{}); n != 0 || err != nil {
				t.Fatalf("%q: n=%d err=%v, want more bytes to be asked for", test.head[:cut], n, err)
			}
		}
	}
}

// refused are requests that two readers could understand in two ways, or that
// are plainly wrong, by what they are refused for.
var refused = []struct {
	head string
	want *Error
}{
	// Ends of lines.
	{"GET / HTTP/1.1\nHost: a\n\n", ErrLineEnd},
	{"GET / HTTP/1.1\r\nHost: a\n\r\n", ErrLineEnd},
	{"GET / HTTP/1.1\r\nHost: a\r\n\n", ErrLineEnd},
	{"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", ErrLineEnd},
	{"GET / HTTP/1.1\rHost: a\r\n\r\n", ErrLineEnd},
	{"GET / HTTP/1.1\r\nHost: a\r\n\rX", ErrLineEnd},
	{"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethod},
	{"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ErrMethod},
	// Request lines.
	{"GET /\r\n", ErrRequestLine},
	{"GET\r\n", ErrMethod},
	{"GET  / HTTP/1.1\r\n", ErrRequestLine},
	{"GET /  HTTP/1.1\r\n", ErrRequestLine},
	{"GET / HTTP/1.1 \r\n", ErrRequestLine},
	{" GET / HTTP/1.1\r\n", ErrMethod},
	{"GET\t/ HTTP/1.1\r\n", ErrMethod},
	{"G(T / HTTP/1.1\r\n", ErrMethod},
	{"GET /a b HTTP/1.1\r\n", ErrRequestLine},
	{"GET /a\x00b HTTP/1.1\r\n", ErrTarget},
	{"GET /a\tb HTTP/1.1\r\n", ErrTarget},
	{"GET /a\x7f HTTP/1.1\r\n", ErrTarget},
	{"GET /\xc3\xa9 HTTP/1.1\r\n", ErrTarget},
	{"GET /a#b HTTP/1.1\r\n", ErrTarget},
	{"GET a HTTP/1.1\r\n", ErrTarget},
	{"GET * HTTP/1.1\r\n", ErrTarget},
	{"GET ftp://a/ HTTP/1.1\r\n", ErrTarget},
	{"GET http:///p HTTP/1.1\r\n", ErrTarget},
	{"GET http:/a HTTP/1.1\r\n", ErrTarget},
	{"GET http://u@a/ HTTP/1.1\r\n", ErrTarget},
	{"GET / HTTP/2.0\r\n", ErrVersion},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ErrVersion},
	{"GET / HTTP/0.9\r\n", ErrVersion},
	{"GET / HTTP/3\r\n", ErrRequestLine},
	{"GET / HTTP/1.10\r\n", ErrRequestLine},
	{"GET / HTTP/01.1\r\n", ErrRequestLine},
	{"GET / http/1.1\r\n", ErrRequestLine},
	{"GET / HTTP/1,1\r\n", ErrRequestLine},
	{"GET / HTTPS/1.1\r\n", ErrRequestLine},
	{"CONNECT a:443 HTTP/1.1\r\n", ErrConnect},
	{"\x16\x03\x01\x02\x00\x01", ErrMethod},
	// Names and values.
	{"GET / HTTP/1.1\r\n Host: a\r\n", ErrFold},
	{"GET / HTTP/1.1\r\nHost: a\r\n b\r\n", ErrFold},
	{"GET / HTTP/1.1\r\nHost: a\r\n\tb: c\r\n", ErrFold},
	{"GET / HTTP/1.1\r\nHost : a\r\n", ErrName},
	{"GET / HTTP/1.1\r\nHost\t: a\r\n", ErrName},
	{"GET / HTTP/1.1\r\nHost\r\n", ErrName},
	{"GET / HTTP/1.1\r\n: a\r\n", ErrName},
	{"GET / HTTP/1.1\r\nX\x00Y: a\r\n", ErrName},
	{"GET / HTTP/1.1\r\n\x0bTransfer-Encoding: chunked\r\n", ErrName},
	{"GET / HTTP/1.1\r\nX\xa0: a\r\n", ErrName},
	{"GET / HTTP/1.1\r\nX: a\x00b\r\n", ErrValue},
	{"GET / HTTP/1.1\r\nX: a\x0bb\r\n", ErrValue},
	{"GET / HTTP/1.1\r\nX: \x7f\r\n", ErrValue},
	{"GET / HTTP/1.1\r\nX: a\x1b[0m\r\n", ErrValue},
	// Host.
	{"GET / HTTP/1.1\r\n\r\n", ErrHostMissing},
	{"GET http://a/ HTTP/1.1\r\n\r\n", ErrHostMissing},
	{"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ErrHostTwice},
	{"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", ErrHostTwice},
	{"GET / HTTP/1.1\r\nHost:\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: [x]\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", ErrHost},
	{"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", ErrHost},
	{"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", ErrHostDiffers},
	// Content-Length.
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", ErrLengthTwice},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n", ErrLengthTwice},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1e1\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 00000000000000000005\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \xd9\xa5\r\n\r\n", ErrLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n", ErrTwin},
	// Transfer-Encoding.
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", ErrLengthCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\n", ErrLengthCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ErrCodingUnknown},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n", ErrCodingUnknown},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", ErrCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", ErrValue},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\n chunked\r\n\r\n", ErrLineEnd},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", ErrName},
	{"POST / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n", ErrFold},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n", ErrTwin},
	{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ErrCodingOld},
	// The rest.
	{"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", ErrExpect},
	{"GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n", ErrConnection},
	{"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("Connection: x\r\n", 5) + "\r\n", ErrConnection},
	{"GET /" + strings.Repeat("a", DefaultLine) + " HTTP/1.1\r\n", ErrLineLong},
	{"GET /" + strings.Repeat("a", DefaultLine), ErrLineLong},
	{strings.Repeat("A", DefaultLine+1), ErrLineLong},
	{"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", DefaultFields) + "\r\n", ErrFields},
	{"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", DefaultHead), ErrHeadLong},
	{"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", DefaultHead-30) + "\r\n\r\n", ErrHeadLong},
	{"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X", DefaultHead), ErrHeadLong},
}

func TestParseRequestRefuses(t *testing.T) {
	for _, test := range refused {
		head := test.head
		if len(head) > 100 {
			head = head[:50] + "..." + head[len(head)-20:]
		}
		var r exchange.Request
		n, err := ParseRequest([]byte(test.head), &r, Limits{})
		if n != 0 || !errors.Is(err, error(test.want)) {
			t.Errorf("%q: n=%d err=%v, want %v", head, n, err, test.want)
		}
		// However it comes, a request that is refused is never understood first.
		var last error
		for cut := 1; cut <= len(test.head) && len(test.head) < 1000; cut++ {
			n, err := ParseRequest([]byte(test.head[:cut]), &r, Limits{})
			if n != 0 || last != nil && err == nil {
				t.Errorf("%q: n=%d err=%v after %v", test.head[:cut], n, err, last)
			}
			last = err
		}
	}
}

func TestWorthParsesAtMostOncePerLine(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("b", 1000) + "\r\n\r\n"
	parsed, known := 0, 0
	var r exchange.Request
	for end := 1; end <= len(head); end++ {
		b := []byte(head[:end])
		if !Worth(b, known, Limits{}) {
			continue
		}
		known = end
		parsed++
		if n, err := ParseRequest(b, &r, Limits{}); err != nil || n != 0 && end != len(head) {
			t.Fatalf("after %d bytes: n=%d err=%v", end, n, err)
		} else if n == len(head) {
			if parsed > 5 {
				t.Errorf("parsed %d times for 4 lines", parsed)
			}
			return
		}
	}
	t.Error("the end of the head was not seen")
}

func TestParseRequestAllocatesNothing(t *testing.T) {
	r := exchange.Request{Fields: make(exchange.Fields, 0, 32)}
	out := make([]byte, 0, 4096)
	got := testing.AllocsPerRun(100, func() {
		if n, err := ParseRequest(browser, &r, Limits{}); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		out = AppendRequest(out[:0], &r, RequestOptions{})
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// browser is what a browser sends.
var browser = []byte("GET /watch/0193a7c2-5b1e-7cc3-a1f0-6a5d0c9d7e21?from=home&position=12 HTTP/1.1\r\n" +
	"Host: video.example.com\r\nConnection: keep-alive\r\nsec-ch-ua-platform: \"Linux\"\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nReferer: https://video.example.com/\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n")

var small = []byte("GET /api/small HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n")

func BenchmarkParseRequest(b *testing.B) {
	for name, head := range map[string][]byte{"browser": browser, "small": small} {
		b.Run(name, func(b *testing.B) {
			r := exchange.Request{Fields: make(exchange.Fields, 0, 32)}
			b.SetBytes(int64(len(head)))
			for b.Loop() {
				if n, err := ParseRequest(head, &r, Limits{}); n == 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	r := exchange.Request{}
	if _, err := ParseRequest(browser, &r, Limits{}); err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 4096)
	b.SetBytes(int64(len(browser)))
	for b.Loop() {
		out = AppendRequest(out[:0], &r, RequestOptions{})
	}
}
