package adapt_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/adapt"
	"github.com/backlot-video/backlot/services/gateway/internal/engine"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

type handler func(ctx context.Context, x *exchange.Exchange) error

// Serve implements exchange.Handler.
func (h handler) Serve(ctx context.Context, x *exchange.Exchange) error { return h(ctx, x) }

// serve has a handler of net/http answer over the engine, and returns its URL.
func serve(t *testing.T, web http.HandlerFunc) string {
	t.Helper()
	s := engine.New(engine.Config{Handler: handler(func(ctx context.Context, x *exchange.Exchange) error {
		return adapt.Serve(ctx, x, web, func() filter.Encoder {
			x.Response.Fields.Set(exchange.XRequestID, []byte("id"))
			return nil
		})
	})})
	t.Cleanup(s.Close)
	if err := s.SetListeners(t.Context(), []engine.Listener{{Address: "127.0.0.1:0"}}); err != nil {
		t.Fatal(err)
	}
	return "http://" + s.Addresses()["127.0.0.1:0"].String()
}

func do(t *testing.T, method, url, body string, header ...string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, got
}

func TestAHandlerSeesTheRequestAndAnswersIt(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Seen", r.Method+" "+r.URL.Path+" "+r.URL.Query().Get("q")+" "+r.Header.Get("X-Mine")+" "+string(body))
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	})
	response, body := do(t, http.MethodPost, url+"/a%20b?q=1", "text", "X-Mine", "yes")
	if response.StatusCode != http.StatusTeapot || string(body) != "short and stout" || response.Header.Get("X-Request-Id") != "id" {
		t.Errorf("got %d %q %v", response.StatusCode, body, response.Header)
	}
	if seen := response.Header.Get("X-Seen"); seen != "POST /a b 1 yes text" {
		t.Errorf("the handler saw %q", seen)
	}
}

func TestFilesAreSentWholeAndInParts(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 1<<20)
	path := filepath.Join(t.TempDir(), "film.mp4")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
	if response, body := do(t, http.MethodGet, url, ""); response.StatusCode != http.StatusOK || !bytes.Equal(body, content) {
		t.Errorf("got %d, %d bytes", response.StatusCode, len(body))
	}
	if response, body := do(t, http.MethodGet, url, "", "Range", "bytes=5-5000004"); response.StatusCode != http.StatusPartialContent || !bytes.Equal(body, content[5:5000005]) {
		t.Errorf("range: got %d, %d bytes", response.StatusCode, len(body))
	}
	if response, body := do(t, http.MethodHead, url, ""); response.ContentLength != int64(len(content)) || len(body) != 0 {
		t.Errorf("HEAD: %d", response.ContentLength)
	}
}

func TestAHandlerThatPanicsBreaksTheAnswer(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("got the whole of %q", body)
	}
}
