package filter_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

// client takes an answer's body and gives a request's.
type client struct {
	exchange.Client
	sent    bytes.Buffer
	flushes int
	body    io.Reader
}

func (c *client) WriteBody(p []byte) (int, error)  { return c.sent.Write(p) }
func (c *client) Flush() error                     { c.flushes++; return nil }
func (c *client) ReadBody(p []byte) (int, error)   { return c.body.Read(p) }
func (c *client) RequestTrailers() exchange.Fields { return nil }

// answered is the coding that an answer gets.
func answered(h *house, c *filter.Chain, accept string, change func(*exchange.Exchange)) (*exchange.Exchange, filter.Encoder) {
	x := request("GET /x")
	if accept != "" {
		x.Request.Fields.Add(exchange.AcceptEncoding, []byte("accept-encoding"), []byte(accept))
	}
	x.Client = &client{}
	h.run(c, x)
	x.Response.Status, x.Response.Length = 200, 5000
	x.Response.Fields = x.Response.Fields[:0]
	x.Response.Fields.Add(exchange.ContentType, []byte("content-type"), []byte("text/html; charset=utf-8"))
	x.Response.Fields.Add(exchange.ETag, []byte("etag"), []byte(`"abc"`))
	x.Response.Fields.Add(exchange.Other, []byte("Accept-Ranges"), []byte("bytes"))
	if change != nil {
		change(x)
	}
	c.Response(x)
	return x, c.Encoder(x)
}

func answerLine(name, value string) func(*exchange.Exchange) {
	return func(x *exchange.Exchange) {
		x.Response.Fields.RemoveName(name)
		x.Response.Fields.Add(exchange.NameOf([]byte(name)), []byte(name), []byte(value))
	}
}

func TestTextIsCompressed(t *testing.T) {
	h := newHouse(t, nil)
	c := h.compile(t, edge.Policy{Compress: &edge.Compression{}})
	x, e := answered(h, c, "gzip", answerLine("Vary", "Origin"))
	if e == nil {
		t.Fatal("it is not compressed")
	}
	got := get(x.Response.Fields, "Content-Encoding") + " " + get(x.Response.Fields, "ETag") + " " + get(x.Response.Fields, "Accept-Ranges")
	if got != `gzip W/"abc" ` || x.Response.Length != exchange.Unknown {
		t.Errorf("head: %s, length %d", got, x.Response.Length)
	}
	text := strings.Repeat("a line of the page\n", 500)
	to := x.Client.(*client)
	_, _ = e.Write([]byte(text[:40]))
	if err := e.Flush(); err != nil || to.flushes != 1 || to.sent.Len() == 0 {
		t.Errorf("nothing is sent at a flush: %v", err)
	}
	_, _ = e.Write([]byte(text[40:]))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	reader, err := gzip.NewReader(&to.sent)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(reader); err != nil || string(plain) != text {
		t.Errorf("read back as %d bytes, %v", len(plain), err)
	}
	if h.value(t, "backlot_gateway_compressed_answers_total", "gzip") != 1 {
		t.Error("it is not counted")
	}
}

func TestWhatIsNotCompressed(t *testing.T) {
	h := newHouse(t, nil)
	c := h.compile(t, edge.Policy{Compress: &edge.Compression{}})
	for name, test := range map[string]struct {
		accept string
		change func(*exchange.Exchange)
		vary   bool
	}{
		"not accepted":       {"", nil, true},
		"identity preferred": {"gzip;q=0.5, identity", nil, true},
		"HEAD":               {"gzip", func(x *exchange.Exchange) { x.Response.NoBody = true }, true},
		"HTTP/1.0":           {"gzip", func(x *exchange.Exchange) { x.Request.Protocol = exchange.HTTP10 }, true},
		"short":              {"gzip", func(x *exchange.Exchange) { x.Response.Length = 1023 }, false},
		"compressed already": {"gzip", answerLine("Content-Encoding", "br"), false},
		"no-transform":       {"gzip", answerLine("Cache-Control", "public, No-Transform"), false},
		"a range":            {"gzip", answerLine("Content-Range", "bytes 0-1/2"), false},
		"partial":            {"gzip", func(x *exchange.Exchange) { x.Response.Status = 206 }, false},
		"not modified":       {"gzip", func(x *exchange.Exchange) { x.Response.Status = 304 }, false},
		"a digest":           {"gzip", answerLine("content-digest", "sha-256=:x:"), false},
		"video":              {"gzip", answerLine("Content-Type", "video/mp4"), false},
		"gRPC":               {"gzip", answerLine("Content-Type", "application/grpc+json"), false},
		"no type":            {"gzip", answerLine("Content-Type", ""), false},
		"upgrade":            {"gzip", func(x *exchange.Exchange) { x.Response.Upgrade = []byte("websocket") }, false},
	} {
		x, e := answered(h, c, test.accept, test.change)
		if e != nil || x.Response.Fields.Has(exchange.ContentEncoding) && name != "compressed already" || get(x.Response.Fields, "ETag") != `"abc"` {
			t.Errorf("%s: is compressed", name)
		}
		if x.Response.Fields.Has(exchange.Vary) != test.vary {
			t.Errorf("%s: Vary is %q", name, get(x.Response.Fields, "Vary"))
		}
	}
	if _, e := answered(h, h.compile(t, edge.Policy{}), "gzip", nil); e != nil {
		t.Error("compressed without a policy")
	}
}

func TestTypesThatAreCompressed(t *testing.T) {
	h := newHouse(t, nil)
	c := h.compile(t, edge.Policy{Compress: &edge.Compression{}})
	own := h.compile(t, edge.Policy{Compress: &edge.Compression{MinLength: 10, ContentTypes: []string{"Application/Wasm"}}})
	for media, want := range map[string][2]bool{
		"text/css": {true, false}, "application/json": {true, false}, "Application/LD+JSON; x=y": {true, false}, "image/svg+xml": {true, false},
		"application/vnd.apple.mpegurl": {true, false}, "application/dash+xml": {true, false}, "application/wasm": {false, true}, "image/png": {false, false},
	} {
		for i, chain := range []*filter.Chain{c, own} {
			if _, e := answered(h, chain, "gzip", answerLine("Content-Type", media)); (e != nil) != want[i] {
				t.Errorf("%s: %t", media, e != nil)
			} else if e != nil {
				e.Discard()
			}
		}
	}
}
