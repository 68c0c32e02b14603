package adapt_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/adapt"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// ask gives a server a request as one of HTTP/3 would: with nothing said of
// the body's length.
func ask(server *adapt.Server, method, target, host string, body io.Reader) (*httptest.ResponseRecorder, any) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Method, r.RequestURI, r.Host, r.ContentLength = method, target, host, -1
	r.Body = io.NopCloser(body)
	w := httptest.NewRecorder()
	var aborted any
	func() {
		defer func() { aborted = recover() }()
		server.ServeHTTP(w, r)
	}()
	return w, aborted
}

func TestWhatCouldBecomeAnotherRequestIsRefused(t *testing.T) {
	refused := 0
	server := &adapt.Server{
		Handler: handler(func(_ context.Context, x *exchange.Exchange) error {
			x.Refuse(http.StatusTeapot, "unimplemented", "served", "")
			if err := x.Client.WriteHead(&x.Response); err != nil {
				return err
			}
			return x.Client.End(nil)
		}),
		Refused: func(x *exchange.Exchange) {
			if refused++; x.Fault != "malformed" || x.Response.Status != http.StatusBadRequest {
				t.Errorf("refused as %q, %d", x.Fault, x.Response.Status)
			}
		},
	}
	for _, c := range [][3]string{
		{"GET /x HTTP/1.1\r\n", "/", "a"},
		{"G T", "/", "a"},
		{"", "/", "a"},
		{"CONNECT", "a:443", "a:443"},
		{"GET", "/a b", "a"},
		{"GET", "/a#b", "a"},
		{"GET", "a", "a"},
		{"GET", "*", "a"},
		{"GET", "/é", "a"},
		{"GET", "/\r\nX: y", "a"},
		{"GET", "/", ""},
		{"GET", "/", "a b"},
		{"GET", "/", "u@a"},
		{"GET", "/", "a/b"},
		{"GET", "/", "a\r\nX: y"},
	} {
		if w, aborted := ask(server, c[0], c[1], c[2], strings.NewReader("")); w.Code != http.StatusBadRequest || aborted != nil {
			t.Errorf("%q: status %d, %v", c, w.Code, aborted)
		}
	}
	if refused != 15 {
		t.Errorf("%d refusals were seen", refused)
	}
	for _, c := range [][3]string{{"GET", "/a?b#"[:4], "a"}, {"OPTIONS", "*", "a:80"}, {"PROPFIND", "/", "[::1]:80"}} {
		if w, aborted := ask(server, c[0], c[1], c[2], strings.NewReader("")); w.Code != http.StatusTeapot || aborted != nil {
			t.Errorf("%q: status %d, %v", c, w.Code, aborted)
		}
	}
}

func TestBodiesOfUnknownLength(t *testing.T) {
	var length int64
	var got string
	server := &adapt.Server{Handler: handler(func(_ context.Context, x *exchange.Exchange) error {
		length = x.Request.Length
		all := make([]byte, 0, 64)
		for {
			n, err := x.ReadBody(all[len(all):cap(all)])
			if all = all[:len(all)+n]; err == io.EOF { //nolint:errorlint // as readers return it
				break
			}
			if n > 0 && err != nil {
				t.Errorf("%d bytes came with %v", n, err)
			}
		}
		got = string(all)
		if err := x.Client.WriteHead(&exchange.Response{Status: 204}); err != nil {
			return err
		}
		return x.Client.End(nil)
	})}
	for _, c := range []struct {
		method, body string
		length       int64
	}{{"GET", "", 0}, {"GET", "abc", exchange.Unknown}, {"POST", "", exchange.Unknown}, {"POST", "abc", exchange.Unknown}} {
		ask(server, c.method, "/", "a", strings.NewReader(c.body))
		if got != c.body || length != c.length {
			t.Errorf("%s: length %d, body %q, want %d and %q", c.method, length, got, c.length, c.body)
		}
	}
}

func TestAnAnswerWithoutItsEndIsBroken(t *testing.T) {
	for name, serve := range map[string]handler{
		"no end": func(_ context.Context, x *exchange.Exchange) error {
			return x.Client.WriteHead(&exchange.Response{Status: 200, Length: 5})
		},
		"an error": func(context.Context, *exchange.Exchange) error { return errors.New("gone") },
		"aborted": func(_ context.Context, x *exchange.Exchange) error {
			err := x.Client.WriteHead(&exchange.Response{Status: 200, Length: 5})
			x.Client.Abort()
			return err
		},
	} {
		if _, aborted := ask(&adapt.Server{Handler: serve}, "GET", "/", "a", strings.NewReader("")); aborted != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
			t.Errorf("%s: the handler ended by %v", name, aborted)
		}
	}
}
