package tool_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// verbs are one verb that does what its flag says.
func verbs() []tool.Verb {
	return []tool.Verb{{
		Name: "do", Args: "THING", About: "does a thing", More: "More of it.", Examples: []string{"do it"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			var how string
			set.String(&how, "how", "well", "`manner`")
			return func(_ context.Context, args []string) error {
				switch how {
				case "well":
					_, err := std.Out.Write([]byte(strings.Join(args, " ")))
					return err
				case "badly":
					return tool.ErrFaults
				default:
					return connect.NewError(connect.CodeNotFound, errors.New("no manner "+how))
				}
			}
		},
	}, {
		Name: "pass", About: "passes everything on",
		Raw: func(args []string, std *tool.Stdio) error {
			_, err := std.Out.Write([]byte(strings.Join(args, " ")))
			return err
		},
	}}
}

func run(environ []string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = tool.Main(context.Background(), args, verbs(), &tool.Stdio{
		Out: &o, Err: &e, Environ: environ, Program: "backlot test", About: "does things",
	})
	return code, o.String(), e.String()
}

func TestVerbsRunAndExplainThemselves(t *testing.T) {
	for _, c := range []struct {
		args      []string
		environ   []string
		code      int
		out, errs string
	}{
		{[]string{"do", "it", "now"}, nil, 0, "it now", ""},
		{[]string{"do", "it", "--how", "badly"}, nil, 1, "", ""},
		{[]string{"do"}, []string{"BACKLOT_HOW=badly", "BACKLOT_CONFIG=/none"}, 1, "", ""},
		{[]string{"do", "--how=oddly"}, nil, 2, "", "backlot test do: no manner oddly\n"},
		{[]string{"do", "--what"}, nil, 2, "", "try --help"},
		{[]string{"undo"}, nil, 2, "", `verb "undo" is not known`},
		{nil, nil, 0, "do    does a thing", ""},
		{[]string{"help", "do"}, nil, 0, "Examples:\n  backlot test do it", ""},
		{[]string{"do", "--help"}, nil, 0, "(default well)", ""},
		{[]string{"pass", "--none", "-x", "on"}, nil, 0, "--none -x on", ""},
		{[]string{"help", "pass"}, nil, 0, "--help", ""},
	} {
		code, out, errs := run(c.environ, c.args...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) || c.errs == "" && errs != "" {
			t.Errorf("%v: code %d, out %q, err %q", c.args, code, out, errs)
		}
	}
}

func TestFlagsAndNothingAreForTheService(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"version"}} {
		if _, ran := tool.Process("backlot test", "", args, verbs()); ran {
			t.Errorf("%v was taken for a verb", args)
		}
	}
}

func TestRemoteNeedsTheKeyAndSendsTheToken(t *testing.T) {
	var seen string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/SignIn") {
			w.Header().Set("Content-Type", "application/proto")
			answer, err := proto.Marshal(&storefrontv1.SignInResponse{Token: &storefrontv1.Token{AccessToken: "tok"}})
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(answer)
			return
		}
		seen = r.Header.Get("Authorization")
	}))
	defer server.Close()
	remote := func(args ...string) (*tool.Remote, error) {
		r := &tool.Remote{}
		set := config.New("test")
		r.Register(set)
		if _, err := set.Parse(args, nil); err != nil {
			t.Fatal(err)
		}
		return r, r.SignIn(t.Context())
	}
	if _, err := remote("--data-dir", t.TempDir()); err == nil || !strings.Contains(err.Error(), "--operator-key names another file") {
		t.Errorf("got %v", err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := remote("--operator-key", key, "--gateway", server.URL+"/")
	if err != nil {
		t.Fatal(err)
	}
	response, err := r.Client.Get(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if seen != "Bearer tok" {
		t.Errorf("sent %q", seen)
	}
	if _, err := remote("--operator-key", key, "--gateway", "http://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "(--gateway)") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestTablesAndDocuments(t *testing.T) {
	var b bytes.Buffer
	if err := tool.WriteTable(&b, [][]string{{"A", "B"}, {"x\ty", "\x1b[2J"}}); err != nil {
		t.Fatal(err)
	}
	if b.String() != "A    B\nx\ufffdy  \ufffd[2J\n" {
		t.Errorf("got %q", b.String())
	}
	b.Reset()
	if err := tool.WriteJSON(&b, &moneyv1.Money{Currency: "USD"}); err != nil || b.String() != "{\n  \"minor\": \"0\",\n  \"currency\": \"USD\"\n}\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
	if tool.Time(0) != "-" || tool.Time(1_000_000) != "1970-01-01 00:00:01" {
		t.Error(tool.Time(0), tool.Time(1_000_000))
	}
}
