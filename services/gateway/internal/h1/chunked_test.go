package h1

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// decode gives the decoder pieces of a body, as a connection's buffer would
// hold them, and returns the data and what was not used.
func decode(c *Chunked, body string, piece int) (data, rest string, done bool, err error) {
	var held []byte
	for at := 0; ; {
		var part []byte
		var used int
		part, used, done, err = c.Next(held)
		data += string(part)
		held = held[used:]
		if done || err != nil {
			return data, string(held) + body[at:], done, err
		}
		if len(part) > 0 {
			continue
		}
		if at == len(body) {
			return data, string(held), false, nil
		}
		end := min(len(body), at+piece)
		held = append(held, body[at:end]...)
		at = end
	}
}

func TestChunkedDecodes(t *testing.T) {
	for _, test := range []struct{ body, data, trailers string }{
		{"0\r\n\r\n", "", ""},
		{"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
		{"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", ""},
		{"0000000000000005\r\nhello\r\n000\r\n\r\n", "hello", ""},
		{strings.Repeat("1\r\na\r\n", 9000) + "0\r\n\r\n", strings.Repeat("a", 9000), ""},
		{"a\r\n0123456789\r\nA;x\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", ""},
		{"5 ; a=b;c=\"d;\te\"\r\nhello\r\n0;z\r\n\r\n", "hello", ""},
		{"5;a;b = c ;d=\"\\\";\"\r\nhello\r\n0\r\n\r\n", "hello", ""},
		{"1\r\na\r\n0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\n\r\n", "a", "X-Sum=1 Grpc-Status=0"},
		{"1\r\na\r\n0\r\ncontent-length: 1\r\nHOST: x\r\nTransfer-Encoding: chunked\r\nAuthorization: x\r\nBacklot-Principal: x\r\nX-Sum: 1\r\n\r\n", "a", "X-Sum=1"},
	} {
		for _, piece := range []int{1, 2, 3, 7, 1000} {
			var c Chunked
			data, rest, done, err := decode(&c, test.body+"GET", piece)
			if err != nil || !done || data != test.data || !strings.HasSuffix("GET", rest) && rest != "GET" {
				t.Errorf("%q by %d: data=%q rest=%q done=%v err=%v", test.body, piece, data, rest, done, err)
			}
			var trailers []string
			for _, field := range c.Trailers() {
				trailers = append(trailers, fmt.Sprintf("%s=%s", field.Name, field.Value))
			}
			if got := strings.Join(trailers, " "); got != test.trailers {
				t.Errorf("%q by %d: trailers %s, want %s", test.body, piece, got, test.trailers)
			}
		}
	}
}

func TestChunkedRefuses(t *testing.T) {
	for _, test := range []struct {
		body string
		want *Error
	}{
		{"\r\n", ErrChunkSize},
		{"x\r\n", ErrChunkSize},
		{" 5\r\nhello", ErrChunkSize},
		{"+5\r\nhello", ErrChunkSize},
		{"-5\r\nhello", ErrChunkSize},
		{"0x5\r\nhello", ErrChunkLine},
		{"5x\r\nhello", ErrChunkLine},
		{"5 \r\nhello", ErrChunkLine},
		{"5\t\r\nhello", ErrChunkLine},
		{"5 5\r\nhello", ErrChunkLine},
		{"5;\r\nhello", ErrChunkLine},
		{"5;=\r\nhello", ErrChunkLine},
		{"5;bad[=x\r\nhello", ErrChunkLine},
		{"5;a=\r\nhello", ErrChunkLine},
		{"5;a=b c\r\nhello", ErrChunkLine},
		{"5;a=\"b\r\nhello", ErrChunkLine},
		{"5;a=\"b\\\"\r\nhello", ErrChunkLine},
		{"5;a=\"b\"c\r\nhello", ErrChunkLine},
		{"5;a \r\nhello", ErrChunkLine},
		{"5;a\x00\r\nhello", ErrLineEnd},
		{"5;a\nhello", ErrLineEnd},
		{"5\nhello", ErrLineEnd},
		{"5\rhello", ErrLineEnd},
		{"5;" + strings.Repeat("a", 300) + "\r\n", ErrChunkLine},
		{"8000000000000000\r\n", ErrChunkSize},
		{"ffffffffffffffff\r\n", ErrChunkSize},
		{"10000000000000005\r\nhello", ErrChunkSize},
		{"00000000000000005\r\nhello", ErrChunkSize},
		{"5\r\nhello!\r\n", ErrChunkEnd},
		{"5\r\nhello\n", ErrChunkEnd},
		{"5\r\nhello\r\r\n", ErrChunkEnd},
		{"0\r\nX : a\r\n\r\n", ErrName},
		{"0\r\n X: a\r\n\r\n", ErrFold},
		{"0\r\nX: a\n\r\n", ErrLineEnd},
		{"0\r\n\n", ErrLineEnd},
		{"0\r\n" + strings.Repeat("X: y\r\n", DefaultFields+1), ErrFields},
		{"0\r\n" + strings.Repeat("Host: y\r\n", DefaultHead/9+1), ErrHeadLong},
		{"0\r\nX: " + strings.Repeat("a", DefaultLine), ErrHeadLong},
		{strings.Repeat("1;"+strings.Repeat("e", 200)+"\r\na\r\n", 100), ErrChunkWaste},
	} {
		for _, piece := range []int{1, 2, 100000} {
			var c Chunked
			_, _, done, err := decode(&c, test.body, piece)
			if done || !errors.Is(err, error(test.want)) {
				t.Errorf("%.40q by %d: done=%v err=%v, want %v", test.body, piece, done, err, test.want)
			}
		}
	}
}

func TestChunkedRoundTrip(t *testing.T) {
	var body []byte
	for _, data := range []string{"hello", strings.Repeat("x", 70000)} {
		body = append(append(AppendChunk(body, len(data)), data...), ChunkEnd...)
	}
	var trailers exchange.Fields
	trailers.Add(exchange.Other, []byte("X-Sum"), []byte("1"))
	body = AppendLastChunk(body, trailers)
	c := Chunked{}
	data, rest, done, err := decode(&c, string(body), 4096)
	if len(data) != 70005 || rest != "" || !done || err != nil || string(c.Trailers().Get(exchange.Other)) != "1" {
		t.Errorf("%d bytes, rest %q, done=%v, err=%v", len(data), rest, done, err)
	}
}

func TestChunkedSkipsWhatOthersMove(t *testing.T) {
	var c Chunked
	if _, used, _, err := c.Next([]byte("100000\r\n")); used != 8 || err != nil || c.Ahead() != 1<<20 {
		t.Fatal(used, err, c.Ahead())
	}
	c.Skip(1 << 20)
	if _, used, done, err := c.Next([]byte("\r\n0\r\n\r\n")); used != 7 || !done || err != nil {
		t.Error(used, done, err)
	}
}

func TestChunkedAllocatesNothing(t *testing.T) {
	body := []byte("5\r\nhello\r\n0\r\n\r\n")
	var c Chunked
	got := testing.AllocsPerRun(100, func() {
		c.Reset()
		_, used, _, _ := c.Next(body)
		if _, _, done, err := c.Next(body[used:]); !done || err != nil {
			t.Fatal(done, err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
