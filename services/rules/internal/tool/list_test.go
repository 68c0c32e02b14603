package tool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"gocloud.dev/blob/memblob"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
	"github.com/backlot-video/backlot/services/rules/internal/api"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/listing"
	"github.com/backlot-video/backlot/services/rules/internal/part"
)

// installation is as much of a Backlot as lists need: accounts with one key, a
// configstore of one object, and the real service of lists.
type installation struct {
	configstorev1connect.UnimplementedConfigServiceHandler
	storefrontv1connect.UnimplementedAccountServiceHandler
	loader  *listing.Loader
	object  *configstorev1.Object
	reasons []string
}

func (i *installation) SignIn(_ context.Context, req *storefrontv1.SignInRequest) (*storefrontv1.SignInResponse, error) {
	if req.GetOperatorKey() != "secret" {
		return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("wrong key"))
	}
	return &storefrontv1.SignInResponse{Token: &storefrontv1.Token{AccessToken: "token"}}, nil
}

func (i *installation) Get(context.Context, *configstorev1.GetRequest) (*configstorev1.GetResponse, error) {
	if i.object == nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such list"))
	}
	return &configstorev1.GetResponse{Object: i.object}, nil
}

func (i *installation) Apply(ctx context.Context, req *configstorev1.ApplyRequest) (*configstorev1.ApplyResponse, error) {
	change := req.GetChanges()[0]
	i.reasons = append(i.reasons, req.GetReason())
	if change.GetDelete() != nil {
		i.object = nil
		i.loader.Delete(change.GetDelete().GetName())
		i.loader.Settle(ctx)
		return &configstorev1.ApplyResponse{}, nil
	}
	if change.GetPut().GetKey().GetKind() == "RateTable" {
		i.object = change.GetPut()
		return &configstorev1.ApplyResponse{Objects: []*configstorev1.Object{i.object}}, nil
	}
	if want := change.GetExpectedRevision(); want != 0 && want != i.object.GetRevision() {
		return nil, connect.NewError(connect.CodeAborted, errors.New("changed meanwhile"))
	}
	spec := &rulesv1.RuleList{}
	if err := change.GetPut().GetSpec().UnmarshalTo(spec); err != nil {
		return nil, err
	}
	i.object = change.GetPut()
	i.object.Revision = int64(len(i.reasons))
	i.object.ReleaseId = fmt.Sprintf("release-%d", len(i.reasons))
	i.loader.Put(i.object.GetKey().GetName(), i.object.GetReleaseId(), spec)
	i.loader.Settle(ctx)
	return &configstorev1.ApplyResponse{Objects: []*configstorev1.Object{i.object}}, nil
}

// install starts an installation and returns how to call the verb with it.
func install(t *testing.T, verb string) (*installation, func(args ...string) (code int, out, errs string)) {
	t.Helper()
	t.Chdir(t.TempDir())
	store, err := part.NewStore(part.Opened(memblob.OpenBucket(nil)), "", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := catalog.New(catalog.Config{Dir: t.TempDir(), Clock: time.Now})
	i := &installation{loader: listing.New(listing.Config{Catalog: c, Store: store, Log: slog.New(slog.DiscardHandler), Dir: t.TempDir()})}
	mux := http.NewServeMux()
	lists := http.NewServeMux()
	lists.Handle(rulesv1connect.NewListServiceHandler(api.NewLists(c, store)))
	mux.Handle(storefrontv1connect.NewAccountServiceHandler(i))
	mux.Handle(configstorev1connect.NewConfigServiceHandler(i))
	mux.HandleFunc("/backlot.rules.v1.ListService/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		lists.ServeHTTP(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	write(t, "key", "secret\n")
	return i, func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		args = append([]string{verb, "--gateway", server.URL, "--operator-key", "key"}, args...)
		code := Main(t.Context(), args, &Stdio{In: strings.NewReader("x\ny\n"), Out: &stdout, Err: &stderr, Program: "rules"})
		return code, stdout.String(), stderr.String()
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestListVerb(t *testing.T) {
	i, list := install(t, "list")
	var long strings.Builder
	for n := range 50_000 {
		fmt.Fprintf(&long, "card-%09d\n", n)
	}
	write(t, "bins", "# match: prefix\n42\n55\n")
	write(t, "bad", "# match: cidr\n10.0.0.0/8\nhome\n")
	write(t, "long", long.String())
	for _, step := range []struct {
		args string
		code int
		want string // part of what is printed, to either stream
	}{
		{"put", 2, "want put NAME FILE, add NAME"},
		{"put cards gone", 2, "gone: no such file"},
		{"put cards bad", 1, `bad: line 3: list: bad entry: "home" is no IP address or network`},
		{"put cards bins --match regex", 2, `--match: list: match "regex"`},
		{"put cards bins --match cidr", 1, "line 1: list: bad entry: the list is to match as cidr, here stands prefix"},
		{"add cards 60", 2, "no such list"},
		{"put cards bins --reason november", 0, "cards release-1 is in force: 2 entries, match prefix"},
		{"has cards 4200 60", 1, "yes  4200\nno  60\n"},
		{"add @cards 60 --reason more", 0, "release-2 is in force: 3 entries"},
		{"has cards 4200 60", 0, "yes  4200\nyes  60\n"},
		{"add cards 6*", 1, "prefixes are written without '*'"},
		{"remove cards 61", 1, `"61" is not in the list`},
		{"remove cards 42", 0, "2 entries"},
		{"has cards 4200", 1, "no  4200"},
		{"put cards -", 0, "2 entries, match auto"},
		{"put cards long --match exact", 0, "new\ncards release-5 is in force: 50000 entries, match exact"},
		{"put cards long --match exact", 0, "parts, 0 of them new"},
		{"add cards more", 0, "50001 entries"},
		{"remove cards card-000000007 none", 0, "50000 entries"},
		{"has cards more card-000000008", 0, "yes  more"},
		{"has cards card-000000007", 1, "no"},
		{"add cards card-000000007", 0, "50001 entries"},
		{"show", 0, "cards  exact  50001"},
		{"has none x", 2, "unknown list"},
		{"delete cards --reason over", 0, ""},
		{"has cards more", 2, "unknown list"},
	} {
		code, out, errs := list(strings.Fields(step.args)...)
		if code != step.code || !strings.Contains(out+errs, step.want) {
			t.Errorf("list %s: code %d, %s%s", step.args, code, out, errs)
		}
	}
	if got := strings.Join(i.reasons[:2], ",") + "," + i.reasons[len(i.reasons)-1]; got != "november,more,over" {
		t.Errorf("reasons %v", i.reasons)
	}
	write(t, "key", "another")
	if code, _, errs := list("show"); code != 2 || !strings.Contains(errs, "wrong key") {
		t.Errorf("with a wrong key: %d %s", code, errs)
	}
}

func TestAListThatIsRefusedIsTold(t *testing.T) {
	i, list := install(t, "list")
	if code, _, errs := list("put", "cards", "-"); code != 0 {
		t.Fatal(errs)
	}
	// Its part is not there: somebody deleted it from the bucket.
	spec := &rulesv1.RuleList{Parts: []*rulesv1.ListPart{{Sha256: make([]byte, 32), Bytes: 1, Entries: 1}}}
	if err := i.object.GetSpec().MarshalFrom(spec); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := list("add", "cards", "z"); code != 1 || !strings.Contains(errs, "the release is not in force: part of a list is missing") {
		t.Errorf("got %d %s", code, errs)
	}
	if code, out, _ := list("show"); code != 0 || !strings.Contains(out, "release-1") || !strings.Contains(out, "part of a list is missing") {
		t.Errorf("got %d %s", code, out)
	}
}

func TestRatesVerb(t *testing.T) {
	i, rates := install(t, "rates")
	write(t, "good", "# of Friday\nbase USD\nCNY 0.1402\nEUR 1.08\n")
	write(t, "bad", "base USD\nCNY 0\n")
	for _, step := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "want put FILE"},
		{"put gone", 2, "gone: no such file"},
		{"put bad", 1, `bad: line 2: rate: bad table: rate "0" of CNY`},
		{"put good --reason friday", 0, "2 currencies, base USD"},
	} {
		code, out, errs := rates(strings.Fields(step.args)...)
		if code != step.code || !strings.Contains(out+errs, step.want) {
			t.Errorf("rates %s: code %d, %s%s", step.args, code, out, errs)
		}
	}
	spec := &rulesv1.RateTable{}
	if err := i.object.GetSpec().UnmarshalTo(spec); err != nil {
		t.Fatal(err)
	}
	if spec.GetBase() != "USD" || len(spec.GetRates()) != 2 || spec.GetRates()[0].GetCurrency() != "CNY" || spec.GetRates()[0].GetWorth() != "0.1402" {
		t.Errorf("got %v", spec)
	}
}
