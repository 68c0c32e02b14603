package h2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h2"
)

// behave is what a path asks for: what a handler reads and says.
type behave struct {
	read    bool // the whole body first
	status  int
	length  int64 // of what it says; exchange.Unknown: it does not
	body    string
	trailer string
	abort   bool // after half of the body
}

var behaviours = map[string]behave{
	"/plain":    {read: true, status: 200, length: 5, body: "hello"},
	"/stream":   {read: true, status: 200, length: exchange.Unknown, body: strings.Repeat("0123456789", 20_000)},
	"/empty":    {read: true, status: 200},
	"/none":     {read: true, status: 204, length: exchange.Unknown},
	"/same":     {read: true, status: 304, length: exchange.Unknown},
	"/trailers": {read: true, status: 200, length: exchange.Unknown, body: "x", trailer: "end"},
	"/early":    {status: 413, length: 4, body: "much"},
	"/abort":    {read: true, status: 200, length: exchange.Unknown, body: strings.Repeat("a", 100), abort: true},
}

func (b behave) exchange(x *exchange.Exchange) error {
	buffer := make([]byte, 8<<10)
	for err := error(nil); b.read && !errors.Is(err, io.EOF); {
		if _, err = x.Client.ReadBody(buffer); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	x.Response = exchange.Response{Status: b.status, Length: b.length}
	x.Response.NoBody = b.status == 204 || b.status == 304 || string(x.Request.Method) == "HEAD"
	for _, name := range []string{"x-asked", "cookie", "user-agent"} {
		value, _ := x.Request.Fields.Find(name)
		x.Response.Fields.Add(exchange.Other, []byte("X-Got-"+name), value)
	}
	if err := x.Client.WriteHead(&x.Response); err != nil || x.Response.NoBody {
		return errors.Join(err, x.Client.End(nil))
	}
	if _, err := x.Client.WriteBody([]byte(b.body)); err != nil {
		return err
	}
	if b.abort {
		_ = x.Client.Flush()
		x.Client.Abort()
		return io.ErrUnexpectedEOF
	}
	var trailers exchange.Fields
	if b.trailer != "" {
		trailers.Add(exchange.Other, []byte("X-Trailer"), []byte(b.trailer))
	}
	return x.Client.End(trailers)
}

func (b behave) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.read {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	for _, name := range []string{"x-asked", "cookie", "user-agent"} {
		w.Header().Set("X-Got-"+name, r.Header.Get(name))
	}
	if b.length >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(b.length))
	}
	if b.trailer != "" {
		w.Header().Set(http.TrailerPrefix+"X-Trailer", b.trailer)
	}
	w.WriteHeader(b.status)
	if b.length < 0 && b.body != "" && r.Method == http.MethodHead {
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = io.WriteString(w, b.body)
	if b.length < 0 && b.body != "" { // else it would find the length out by itself
		_ = http.NewResponseController(w).Flush()
	}
	if b.abort {
		panic(http.ErrAbortHandler)
	}
}

// TestClientsSeeWhatTheStandardLibraryShows compares our server with
// net/http's, as its client sees both.
func TestClientsSeeWhatTheStandardLibraryShows(t *testing.T) {
	ours, _ := serveTest(t, h2.Config{Handler: handlerFunc(func(_ context.Context, x *exchange.Exchange) error {
		return behaviours[string(x.Request.Path)].exchange(x)
	})}, nil)
	theirs, _ := netHTTP(t, func(w http.ResponseWriter, r *http.Request) { behaviours[r.URL.Path].ServeHTTP(w, r) })
	client := plainClient(t)
	for path := range behaviours {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
			for _, size := range []int{0, 10, 300_000} {
				if (method == "GET" || method == "HEAD") != (size == 0) {
					continue
				}
				want := see(t, client, method, "http://"+theirs+path, size)
				if got := see(t, client, method, "http://"+ours+path, size); got != want {
					t.Errorf("%s %s with %d bytes: got\n%s\nwant\n%s", method, path, size, got, want)
				}
			}
		}
	}
}

// see tells what a client sees.
func see(t *testing.T, client *http.Client, method, address string, size int) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if size > 0 {
		request.Body = io.NopCloser(strings.NewReader(strings.Repeat("b", size)))
		request.ContentLength = int64(size)
	}
	request.Header.Set("X-Asked", "yes, äöü")
	request.Header.Set("User-Agent", "test")
	request.Header.Set("Cookie", "a=b; c=d")
	response, err := client.Do(request)
	if err != nil {
		return "no answer"
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode == http.StatusNoContent {
		// Whether its end comes with its head or after it, which net/http shows as 0
		// or -1, depends on what else was being sent.
		response.ContentLength = 0
	}
	return fmt.Sprintf("%d, length %d, %d bytes, cut %v, asked %q, cookie %q, agent %q, trailer %q",
		response.StatusCode, response.ContentLength, len(body), err != nil, response.Header.Get("X-Got-X-Asked"),
		response.Header.Get("X-Got-Cookie"), response.Header.Get("X-Got-User-Agent"), response.Trailer.Get("X-Trailer"))
}
