package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/tool"
	"github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1/coordinatorv1connect"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
	"github.com/backlot-video/backlot/services/coordinator/internal/api"
	"github.com/backlot-video/backlot/services/coordinator/internal/coordinatortest"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// gate lets everybody in as operator.
type gate struct {
	storefrontv1connect.UnimplementedAccountServiceHandler
}

func (gate) SignIn(context.Context, *storefrontv1.SignInRequest) (*storefrontv1.SignInResponse, error) {
	return &storefrontv1.SignInResponse{Token: &storefrontv1.Token{AccessToken: "token"}}, nil
}

// moods are participants: the service is what they do.
type moods struct{}

func (moods) Call(ctx context.Context, _ runner.Key, branch tcc.Branch, phase tcc.Phase) (tcc.Outcome, string) {
	switch {
	case branch.Service == "poor" && phase == tcc.Try:
		return tcc.Refused, "no \x1b[31mmoney"
	case branch.Service == "gone" && phase == tcc.Confirm:
		return tcc.Failed, "connection refused"
	case branch.Service == "slow" && phase == tcc.Try:
		<-ctx.Done()
		return tcc.Failed, "silent"
	}
	return tcc.Succeeded, ""
}

// house is a coordinator behind a gateway, with four transactions.
func house(t *testing.T) (run func(args ...string) (code int, out, errs string)) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "storefront"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "storefront", "operator.key"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := coordinatortest.Start(t, moods{}, 2)
	for _, order := range []struct {
		xid, service string
		wait         runner.Wait
	}{
		{"order-1", "fine", runner.WaitConfirmed},
		{"order-10", "poor", runner.WaitConfirmed},
		{"order-100", "gone", runner.WaitConfirmed},
		{"late-1", "slow", runner.WaitAccepted},
	} {
		spec := tcc.Spec{Mode: tcc.TCC, Branches: []tcc.Branch{
			{ID: "a", Service: "fine", Action: "hold"}, {ID: "b", Service: order.service, Action: "hold"},
		}}
		if _, err := r.Submit(t.Context(), runner.Submission{Key: runner.Key{TenantID: "main", XID: order.xid}, Spec: spec, Wait: order.wait}); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle(storefrontv1connect.NewAccountServiceHandler(gate{}))
	path, handler := coordinatorv1connect.NewCoordinatorServiceHandler(api.New(r, api.Config{}))
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		operator := identity.Principal{Kind: identity.Operator, ID: "ann", TenantID: "main"}
		handler.ServeHTTP(w, r.WithContext(identity.With(r.Context(), operator)))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return func(args ...string) (int, string, string) {
		var o, e bytes.Buffer
		code := tool.Main(t.Context(), append(args, "--data-dir", dir), Verbs(), &tool.Stdio{
			Out: &o, Err: &e, Program: "coordinator", About: About, Environ: []string{"BACKLOT_GATEWAY=" + server.URL},
		})
		return code, o.String(), e.String()
	}
}

// xids are the first words of a table's rows.
func xids(table string) string {
	var found []string
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		if words := strings.Fields(line); i > 0 && len(words) > 0 {
			found = append(found, words[0])
		}
	}
	return strings.Join(found, " ")
}

func TestListChooses(t *testing.T) {
	run := house(t)
	for flags, want := range map[string]string{
		"":                            "late-1 order-100 order-10 order-1",
		"--state parked":              "order-100",
		"--state cancelled,confirmed": "order-10 order-1",
		"--prefix order-10":           "order-100 order-10",
		"--prefix order_":             "",
		"--service gone":              "order-100",
		"--problem REFUSED":           "order-100",
		"--older 1h":                  "",
		"--younger 1h --limit 2":      "late-1 order-100",
	} {
		code, out, errs := run(append([]string{"list"}, strings.Fields(flags)...)...)
		if code != 0 || xids(out) != want {
			t.Errorf("%s: code %d, %q %s, want %q", flags, code, xids(out), errs, want)
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%s: a problem reaches the terminal as it is: %q", flags, out)
		}
	}
	code, out, _ := run("list", "--json", "--state", "parked")
	var told struct {
		Transactions []struct{ XID, State, Problem string }
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != 0 || len(told.Transactions) != 1 ||
		told.Transactions[0].State != "TRANSACTION_STATE_PARKED" || told.Transactions[0].Problem != "b: connection refused" {
		t.Errorf("%s, %v", out, err)
	}
}

func TestGetShowsBranchesAndLog(t *testing.T) {
	run := house(t)
	code, out, errs := run("get", "order-100", "--log")
	for _, want := range []string{"parked", "b: connection refused", "confirming", "SEQUENCE", "exhausted"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("code %d, no %q in:\n%s%s", code, want, out, errs)
		}
	}
	if code, _, errs = run("get", "none"); code != 2 || !strings.Contains(errs, "no such transaction") {
		t.Errorf("code %d, %s", code, errs)
	}
}

func TestParkedIsRetriedAndForced(t *testing.T) {
	run := house(t)
	if code, out, errs := run("retry", "--all"); code != 0 || xids(out) != "order-100" {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	if code, out, errs := run("retry", "order-1", "none"); code != 1 || xids(out) != "order-1" || !strings.Contains(errs, "none: no such transaction") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	code, out, errs := run("force", "order-100", "--branch", "b", "--to", "confirmed", "--reason", "ticket 17")
	if code != 0 || !strings.Contains(out, "confirmed (forced)") || !strings.Contains(out, "forced to confirmed by ann: ticket 17") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	if _, out, _ = run("get", "order-100", "--log"); !strings.Contains(out, "forced") || !strings.Contains(out, "ticket 17") {
		t.Errorf("no trace in the log:\n%s", out)
	}
	code, out, errs = run("cancel", "late-1", "--reason", "ordered by mistake")
	if code != 0 || !strings.Contains(out, "ordered by mistake") || !strings.Contains(out, "cancel") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	if code, _, errs = run("cancel", "order-1", "--reason", "late"); code != 2 || !strings.Contains(errs, "decided otherwise: it is confirmed") {
		t.Errorf("code %d, %s", code, errs)
	}
}

func TestWrongArgumentsSayWhatIsWanted(t *testing.T) {
	run := house(t)
	for args, want := range map[string]string{
		"list x":                       "want no arguments",
		"list --state open":            `--state: "open"`,
		"list --limit 0":               "--limit",
		"list --older -1s":             "--older",
		"get":                          "want one XID",
		"retry":                        "want XIDs, or --all",
		"retry x --all":                "want XIDs, or --all",
		"cancel x":                     "--reason",
		"force x --reason y":           "--to",
		"force x --to confirmed":       "--reason",
		"force --to confirmed":         "want one XID",
		"force x --to done --reason y": `--to: "done"`,
	} {
		if code, _, errs := run(strings.Fields(args)...); code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%s: code %d, %s", args, code, errs)
		}
	}
	for _, verb := range Verbs() {
		if code, out, _ := run("help", verb.Name); code != 0 || !strings.Contains(out, "Examples:") {
			t.Errorf("%s: code %d, %s", verb.Name, code, out)
		}
	}
}
