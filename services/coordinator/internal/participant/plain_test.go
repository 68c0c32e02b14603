package participant

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// ask posts a body and returns the answer's.
func ask(t *testing.T, client *http.Client, url string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return string(body), err
}

func TestConnectionsAreKept(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("x", 2*maxAnswer))
		case "/chunked":
			_, _ = io.WriteString(w, r.RemoteAddr[:4])
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, r.RemoteAddr[4:])
		case "/last":
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, r.RemoteAddr)
		default:
			_, _ = io.WriteString(w, r.RemoteAddr[:len(r.RemoteAddr)-len(body)+2])
		}
	}))
	defer server.Close()
	client := newHTTPClient()
	defer client.CloseIdleConnections()
	seen := map[string]int{}
	for _, path := range []string{"/", "/chunked", "/", "/last", "/", "/long", "/", "/"} {
		got, err := ask(t, client, server.URL+path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if path != "/long" {
			seen[got]++
		}
	}
	// Four calls, of which the last closes; one and a long one; two.
	if len(seen) != 3 {
		t.Errorf("connections by calls: %v, want 3", seen)
	}
	if kept := client.Transport.(*plain).kept; kept != 1 {
		t.Errorf("%d connections are kept, want 1", kept)
	}
	client.CloseIdleConnections()
	if kept := client.Transport.(*plain).kept; kept != 0 {
		t.Errorf("%d connections are kept after the close", kept)
	}
}

// scripted is a server of one connection after the other, each of which gets
// the given answers and is then closed.
func scripted(t *testing.T, connections ...[]string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	t.Cleanup(func() { listener.Close(); done.Wait() })
	done.Go(func() {
		for _, answers := range connections {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reader := bufio.NewReader(conn)
			for _, answer := range answers {
				request, err := http.ReadRequest(reader)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = io.WriteString(conn, answer)
			}
			conn.Close()
		}
	})
	return "http://" + listener.Addr().String()
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

func TestAnswersOfAnyKind(t *testing.T) {
	for name, c := range map[string]struct {
		connections [][]string
		want        []string // of one call after the other; empty: an error
	}{
		"a kept connection that was closed": {[][]string{{fine}, {fine}}, []string{"fine", "fine"}},
		"a fresh one that is closed":        {[][]string{{}, {fine}}, []string{"", "fine"}},
		"an answer that breaks off":         {[][]string{{fine, "HTTP/1.1 200 OK\r\nContent-Le"}, {fine}}, []string{"fine", "", "fine"}},
		"a body that breaks off":            {[][]string{{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfine"}, {fine}}, []string{"", "fine"}},
		"continue":                          {[][]string{{"HTTP/1.1 100 Continue\r\n\r\n" + fine, fine}}, []string{"fine", "fine"}},
		"an endless header":                 {[][]string{{"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", answerLimit)}, {fine}}, []string{"", "fine"}},
		"no HTTP":                           {[][]string{{"SSH-2.0-OpenSSH\r\n"}, {fine}}, []string{"", "fine"}},
		"more than was asked for":           {[][]string{{fine + fine, fine}, {fine}}, []string{"fine", "fine"}},
		"until the end":                     {[][]string{{"HTTP/1.0 200 OK\r\n\r\nfine"}, {fine}}, []string{"fine", "fine"}},
	} {
		t.Run(name, func(t *testing.T) {
			url := scripted(t, c.connections...)
			client := newHTTPClient()
			defer client.CloseIdleConnections()
			for i, want := range c.want {
				if got, err := ask(t, client, url); (err != nil) != (want == "") || err == nil && got != want {
					t.Errorf("call %d: %q, %v, want %q", i, got, err, want)
				}
			}
		})
	}
}

// TestRequestIsWrittenAsItWasMade: headers cannot break out of their lines.
func TestRequestIsWrittenAsItWasMade(t *testing.T) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://shop:99/a%20b?c=d", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{
		"Good": {"one", "two"}, "Bad\r\nName": {"x"}, "Value": {"a\r\nEvil: b"}, "Content-Length": {"99"}, "Transfer-Encoding": {"chunked"},
	}
	var text strings.Builder
	if err := write(bufio.NewWriter(&text), request); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text.String())))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	want := http.Header{"Good": {"one", "two"}, "Value": {"a  Evil: b"}, "Content-Length": {"2"}}
	if err != nil || string(body) != "{}" || got.Host != "shop:99" || got.RequestURI != "/a%20b?c=d" || !reflect.DeepEqual(got.Header, want) {
		t.Errorf("got %s %s %v %q, %v", got.Host, got.RequestURI, got.Header, body, err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	entered := make(chan struct{}, 2)
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-release
		}
	}))
	defer server.Close()
	defer close(release)
	client := newHTTPClient()
	defer client.CloseIdleConnections()
	if _, err := ask(t, client, server.URL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/slow", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	response, err := client.Do(request)
	if err == nil {
		response.Body.Close()
	}
	if !errors.Is(err, context.Canceled) || time.Since(began) > 5*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	if kept := client.Transport.(*plain).kept; kept != 0 {
		t.Errorf("%d connections are kept, the one that was cut among them", kept)
	}
	if _, err := ask(t, client, server.URL); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestIdleConnectionsAreDropped(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	p := newHTTPClient().Transport.(*plain)
	defer p.CloseIdleConnections()
	var links []*link
	for range maxIdle + 10 {
		l, err := p.take(t.Context(), server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, l)
	}
	for _, l := range links {
		p.give(l)
	}
	if p.kept != maxIdle {
		t.Errorf("%d are kept, want %d", p.kept, maxIdle)
	}
	p.mu.Lock()
	p.drop(time.Now().Add(time.Second))
	p.mu.Unlock()
	if p.kept != 0 || len(p.idle) != 0 {
		t.Errorf("%d are kept after their time", p.kept)
	}
}
