package rpc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/identity"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// httpBench serves HTTP on loopback and returns its base URL.
func httpBench(t *testing.T, config ServerConfig, handle func(*Server)) (*bench, string) {
	t.Helper()
	b := newBench(t, "http", config)
	if handle != nil {
		handle(b.server)
	}
	return b, "http://" + b.serve(t, listen(t, "tcp", "127.0.0.1:0"), b.server.Serve)
}

func request(t *testing.T, method, url, body string, header map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

var asJSON = map[string]string{"Content-Type": "application/json"}

func TestJSONOverCurlWorks(t *testing.T) {
	b, base := httpBench(t, ServerConfig{}, nil)
	b.shop.list = func(_ context.Context, req *storefrontv1.ListVideosRequest) (*storefrontv1.ListVideosResponse, error) {
		return &storefrontv1.ListVideosResponse{NextPageToken: fmt.Sprint(req.GetPageSize())}, nil
	}
	res, body := request(t, "POST", base+"/"+shopName+"/List", `{"pageSize": 7}`, asJSON)
	if res.StatusCode != http.StatusOK || body != `{"nextPageToken":"7"}` {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	res, body = request(t, "POST", base+"/"+shopName+"/List", `{"pageSize": -1}`, asJSON)
	var answer struct{ Code, Message string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusBadRequest || answer.Code != "invalid_argument" || !strings.HasPrefix(answer.Message, "page_size: ") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	res, body = request(t, "POST", base+"/"+shopName+"/Get", `{"videoId": "v"}`, asJSON)
	if res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "sign in first") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestHandleHTTPVerifiesThePrincipal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(file, []byte(strings.Repeat("media", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, base := httpBench(t, ServerConfig{}, func(s *Server) {
		s.HandleHTTP("GET /who", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			principal, _ := identity.From(r.Context())
			fmt.Fprintf(w, "%v %s", kindName(principal.Kind), principal.TenantID)
		}))
		s.HandleHTTP("GET /media", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, file)
		}))
		s.HandleHTTP("/panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("raw") }))
	})
	keys := testKeys(t, nil)
	token, err := keys.Sign(identity.Principal{Kind: identity.Creator, ID: "c", TenantID: "studio"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path, token string
		code        int
		body        string
	}{
		{"/who", "", 200, "anonymous main"},
		{"/who", token, 200, "creator studio"},
		{"/who", token + "AA", 401, "principal: "},
		{"/panic", "", 500, "internal error"},
		{"/nothing", "", 404, ""},
		{"/media", "", 200, "mediamedia"},
	} {
		res, body := request(t, "GET", base+test.path, "", map[string]string{identity.Header: test.token})
		if res.StatusCode != test.code || !strings.HasPrefix(body, test.body) {
			t.Errorf("%s: %d %.50s; want %d %s", test.path, res.StatusCode, body, test.code, test.body)
		}
	}
	res, body := request(t, "GET", base+"/media", "", map[string]string{"Range": "bytes=5-9"})
	if res.StatusCode != http.StatusPartialContent || body != "media" {
		t.Errorf("range: %d %s", res.StatusCode, body)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	b, base := httpBench(t, ServerConfig{
		MaxMessageBytes: 1000, MaxHeaderBytes: 1000, BodyTimeout: 500 * time.Millisecond, HeaderTimeout: 500 * time.Millisecond,
	}, nil)
	b.shop.list = func(context.Context, *storefrontv1.ListVideosRequest) (*storefrontv1.ListVideosResponse, error) {
		return &storefrontv1.ListVideosResponse{}, nil
	}
	url := base + "/" + shopName + "/List"
	res, body := request(t, "POST", url, `{"creatorId": "`+strings.Repeat("x", 2000)+`"}`, asJSON)
	if res.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, "resource_exhausted") {
		t.Errorf("large body: %d %s", res.StatusCode, body)
	}
	res, _ = request(t, "POST", url, "{}", map[string]string{"Content-Type": "application/json", "X": strings.Repeat("x", 20_000)})
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large header: %d", res.StatusCode)
	}
	for name, sent := range map[string]string{
		"slow header": "POST / HTTP/1.1\r\nHost: x\r\n",
		"slow body":   "POST /" + shopName + "/List HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		begin := time.Now()
		line, err := bufio.NewReader(conn).ReadString('\n')
		if name == "slow header" && !errors.Is(err, io.EOF) || strings.Contains(line, "200") || time.Since(begin) > 8*time.Second {
			t.Errorf("%s: %q, %v after %v", name, line, err, time.Since(begin))
		}
	}
}

// TestSlowHandlerOutlivesTheBodyTimeout: the body's limit ends with the body,
// and the caller's going away is still noticed after it.
func TestSlowHandlerOutlivesTheBodyTimeout(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		b, base := httpBench(t, ServerConfig{BodyTimeout: 300 * time.Millisecond}, nil)
		b.reach(Endpoint{Address: strings.TrimPrefix(base, "http://")})
		b.client.Protocols = new(http.Protocols)
		b.client.Protocols.SetHTTP1(!h2)
		b.client.Protocols.SetUnencryptedHTTP2(h2)
		b.onGet(func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
			select {
			case <-time.After(500 * time.Millisecond):
			case <-ctx.Done():
			}
			return &storefrontv1.GetVideoResponse{}, ctx.Err()
		})
		if _, err := get(t.Context(), b.conn(t, nil)); err != nil {
			t.Errorf("h2 %v: %v", h2, err)
		}
	}
}
