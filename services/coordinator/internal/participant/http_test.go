package participant

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

func httpBranch(base string) tcc.Branch {
	call := func(path, body string) *tcc.HTTPCall {
		return &tcc.HTTPCall{URL: base + path, Body: []byte(body), Headers: []tcc.Header{{Name: "Authorization", Value: "Bearer t"}}}
	}
	return tcc.Branch{ID: "b", HTTP: &tcc.HTTP{
		Try: call("/shop/try", `{"minor":9007199254740993}`), Confirm: call("/shop/confirm", ""), Cancel: call("/shop/cancel", `[]`),
	}}
}

func allowing(t *testing.T, text string) AllowList {
	t.Helper()
	list, err := ParseAllowList(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var order10 = runner.Key{TenantID: "acme", XID: "order/10 é"}

func TestHTTPCallCarriesTheBranch(t *testing.T) {
	var got *http.Request
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got, body = r, string(raw)
	}))
	defer server.Close()
	p := New(nil, allowing(t, server.URL+"/shop"))
	defer p.Close()
	for phase, want := range map[tcc.Phase]string{
		tcc.Try:     `{"minor":9007199254740993}`,
		tcc.Confirm: `{"branch_id":"b","phase":"confirm","tenant_id":"acme","xid":"order/10 é"}`,
		tcc.Cancel:  `[]`,
	} {
		outcome, problem := p.Call(t.Context(), order10, httpBranch(server.URL), phase)
		if outcome != tcc.Succeeded || problem != "" {
			t.Fatalf("%v: %v %q", phase, outcome, problem)
		}
		if got.Method != http.MethodPost || got.URL.Path != "/shop/"+phase.String() || body != want {
			t.Errorf("%v: %s %s %s", phase, got.Method, got.URL, body)
		}
		for name, value := range map[string]string{
			"Backlot-Xid": "order%2F10%20%C3%A9", "Backlot-Branch-Id": "b", "Backlot-Phase": phase.String(), "Backlot-Tenant": "acme",
			"Authorization": "Bearer t", "Content-Type": "application/json", "Idempotency-Key": "",
		} {
			if got.Header.Get(name) != value {
				t.Errorf("%v: %s is %q, want %q", phase, name, got.Header.Get(name), value)
			}
		}
	}
}

func TestHTTPStatusTellsRefusalsFromFailures(t *testing.T) {
	again := map[int]bool{408: true, 421: true, 425: true, 429: true}
	for status := 200; status < 600; status++ {
		for phase := tcc.Try; phase <= tcc.Cancel; phase++ {
			want := tcc.Failed
			switch {
			case status < 300:
				want = tcc.Succeeded
			case phase == tcc.Try && status >= 400 && status < 500 && !again[status]:
				want = tcc.Refused
			}
			if got := answered(status, phase); got != want {
				t.Errorf("%v, %d: %v, want %v", phase, status, got, want)
			}
		}
	}
}

func TestHTTPProblemIsTheAnswersText(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{409, `{"code":7,"message":"insufficient funds"}`, "insufficient funds"},
		{409, `{"error":{"nested":1},"detail":"sold out"}`, "sold out"},
		{422, "no such seat\nstack trace", "HTTP 422: no such seat"},
		{404, "<html>Not found</html>", "HTTP 404"},
		{500, `{"unknown":true}`, "HTTP 500"},
		{409, "\xff\xfe", "HTTP 409"},
		{409, "red \x1b[31malert", "red  [31malert"},
		{409, strings.Repeat("é", 2000), strings.Repeat("é", maxProblem/2)},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		p := New(nil, allowing(t, server.URL))
		if _, problem := p.Call(t.Context(), order10, httpBranch(server.URL), tcc.Try); problem != c.want {
			t.Errorf("%d %q: %q, want %q", c.status, c.body, problem, c.want)
		}
		p.Close()
		server.Close()
	}
}

// TestHTTPReachesOnlyWhatIsAllowed: neither by redirects nor past the list,
// and no answer holds a call longer or takes more than it may.
func TestHTTPReachesOnlyWhatIsAllowed(t *testing.T) {
	reached := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer inside.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees a caller leave
		switch r.URL.Path {
		case "/shop/try":
			http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
		case "/shop/confirm":
			w.WriteHeader(http.StatusConflict)
			for r.Context().Err() == nil { // without end
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		default:
			<-r.Context().Done() // silent
		}
	}))
	defer server.Close()
	p := New(nil, allowing(t, server.URL+"/shop"))
	defer p.Close()
	branch := httpBranch(server.URL)
	if outcome, problem := p.Call(t.Context(), order10, branch, tcc.Try); outcome != tcc.Failed || problem != "HTTP 307" || reached {
		t.Errorf("redirect: %v %q, followed: %v", outcome, problem, reached)
	}
	if outcome, _ := p.Call(t.Context(), order10, branch, tcc.Confirm); outcome != tcc.Failed {
		t.Errorf("endless answer: %v", outcome)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if outcome, problem := p.Call(ctx, order10, branch, tcc.Cancel); outcome != tcc.Failed || !strings.Contains(problem, "deadline") {
		t.Errorf("silence: %v %q", outcome, problem)
	}
	branch.HTTP.Try.URL = inside.URL + "/secret"
	if outcome, problem := p.Call(t.Context(), order10, branch, tcc.Try); outcome != tcc.Failed || !strings.Contains(problem, "allow list") || reached {
		t.Errorf("not allowed: %v %q", outcome, problem)
	}
}

func TestAllowList(t *testing.T) {
	list := allowing(t, "http://shop.example/tcc, https://Pay.example:8443,http://[::1]:9000/a/")
	for address, want := range map[string]bool{
		"http://shop.example/tcc":              true,
		"http://shop.example:80/tcc/try?x=1":   true,
		"http://SHOP.example/tcc/":             true,
		"https://pay.example:8443":             true,
		"https://pay.example:8443/any/where":   true,
		"http://[::1]:9000/a/b":                true,
		"http://shop.example/tccevil":          false,
		"http://shop.example/":                 false,
		"http://shop.example/tcc/../admin":     false,
		"http://shop.example/tcc/%2e%2e/admin": false,
		"http://shop.example/tcc//x":           false,
		"http://shop.example/tcc\\..\\admin":   false,
		"https://shop.example/tcc":             false,
		"http://shop.example:8080/tcc":         false,
		"http://shop.example.evil.com/tcc":     false,
		"http://shop.example@evil.com/tcc":     false,
		"http://u:p@shop.example/tcc":          false,
		"https://pay.example/":                 false,
		"http://shop.example/tcc#f":            false,
		"//shop.example/tcc":                   false,
		"shop.example/tcc":                     false,
		"file:///etc/passwd":                   false,
		"http:///tcc":                          false,
		"":                                     false,
	} {
		if err := list.Check(address); (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
	}
	if (AllowList{}).Check("http://127.0.0.1/") == nil {
		t.Error("nothing is allowed by default")
	}
	for _, text := range []string{"shop.example", "http://", "ftp://shop.example", "http://a/../b", "http://a?b", "http://u@a"} {
		if _, err := ParseAllowList(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// FuzzAllowList: what is allowed goes to the host that is allowed, by the
// parser that makes the request.
func FuzzAllowList(f *testing.F) {
	f.Add("http://shop.example/tcc/x")
	f.Add("http://shop.example:80/tcc/../x")
	f.Add("http://shop.example/tcc/%2e%2e")
	f.Add("http://shop.example/tcc/try")
	f.Fuzz(func(t *testing.T, address string) {
		list, err := ParseAllowList("http://shop.example/tcc")
		if err != nil {
			t.Fatal(err)
		}
		parsed := list
		parsed.prefixes = []prefix{list.prefixes[0]}
		parsed.prefixes[0].text = ""
		allowed := list.Check(address) == nil
		if byParts := parsed.Check(address) == nil; byParts != allowed {
			t.Errorf("%q: allowed %v, by its parts %v", address, allowed, byParts)
		}
		if !allowed {
			return
		}
		request, err := http.NewRequest(http.MethodPost, address, nil)
		if err != nil {
			return // it is not called
		}
		host, path := strings.TrimSuffix(strings.ToLower(request.URL.Host), ":"), request.URL.Path
		if host != "shop.example" && host != "shop.example:80" || path != "/tcc" && !strings.HasPrefix(path, "/tcc/") || strings.Contains(path, "/../") {
			t.Errorf("%q goes to %s %s", address, host, path)
		}
	})
}

// FuzzHTTPAnswer: no answer makes a problem that is too long, no text or more
// than a line, and a success has none.
func FuzzHTTPAnswer(f *testing.F) {
	f.Add(409, []byte(`{"message":"no"}`))
	f.Add(200, []byte(`{"message":"no"}`))
	f.Add(502, []byte("<html>"))
	f.Add(400, []byte("\xff\x00\n"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		for phase := tcc.Try; phase <= tcc.Cancel; phase++ {
			outcome := answered(status, phase)
			problem := answerProblem(outcome, status, body)
			if (outcome == tcc.Succeeded) != (problem == "") {
				t.Errorf("%d is %v with %q", status, outcome, problem)
			}
			if len(problem) > maxProblem || !utf8.ValidString(problem) || strings.ContainsFunc(problem, unicode.IsControl) {
				t.Errorf("%d %q: %q", status, body, problem)
			}
		}
	})
}
