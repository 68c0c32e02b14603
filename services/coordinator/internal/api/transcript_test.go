package api_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/kit/tcc"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/api"
	"github.com/backlot-video/backlot/services/coordinator/internal/coordinatortest"
	"github.com/backlot-video/backlot/services/coordinator/internal/participant"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	backlotsql "github.com/backlot-video/backlot/sql"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt with what is answered")

// names lets in whom a header names: "service" or "operator".
type names struct{}

func (names) Verify(token string) (identity.Principal, error) {
	kind := map[string]identity.Kind{"service": identity.Service, "operator": identity.Operator}[token]
	return identity.Principal{Kind: kind, ID: "ann", TenantID: "main"}, nil
}

// world is a coordinator as it is deployed, but for its broker: its whole
// chain over HTTP, its runner on SQLite, and a shop that takes part by plain
// HTTP, of which the coordinator may call /tcc.
type world struct {
	coordinator, shop string
	runner            *runner.Runner
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "shop"), backlotsql.Migrations("kit"))
	transact := func(ctx context.Context, fn func(context.Context, *sql.Tx) error) error { return db.Write(ctx, fn) }
	shop := httptest.NewServer(tcc.NewHTTPHandler(transact, "hold", tcc.HTTPParticipant{
		Try: func(_ context.Context, _ *sql.Tx, call tcc.HTTPCall) error {
			if string(call.Body) == `{"seats":99}` {
				return tcc.Refuse(errors.New("only 3 seats are left"))
			}
			return nil
		},
	}, tcc.Config{}))
	t.Cleanup(shop.Close)
	allow, err := participant.ParseAllowList(shop.URL + "/tcc")
	if err != nil {
		t.Fatal(err)
	}
	participants := participant.New(nil, allow)
	t.Cleanup(participants.Close)
	w := &world{shop: shop.URL, runner: coordinatortest.Start(t, participants, 2)}
	server := rpc.NewServer(rpc.ServerConfig{Service: "coordinator", Verifier: names{}, Log: slog.New(slog.DiscardHandler)})
	server.Handle(coordinatorv1.CoordinatorServiceDesc, api.New(w.runner, api.Config{Allow: allow.Check}))
	front := httptest.NewServer(server.Handler())
	t.Cleanup(front.Close)
	w.coordinator = front.URL
	return w
}

// TestTranscripts plays testdata/*.txt: a line at the margin is a method and
// its JSON, as curl would send it; ~64 repeats what is in the brackets before
// it. Indented are the answer (its error's code, text and fields, or the state,
// problem and branches) and how many transactions are stored.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newWorld(t).play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func (w *world) play(t *testing.T, script string) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, " ") {
			continue
		}
		fmt.Fprintln(&out, line)
		method, body, found := strings.Cut(line, " ")
		if !found || method == "#" {
			continue
		}
		status, answer := w.call(t, method, strings.ReplaceAll(repeated(t, body), "SHOP", w.shop))
		fmt.Fprint(&out, strings.ReplaceAll(strings.ReplaceAll(show(t, status, answer), w.shop, "SHOP"), "127.0.0.1", "HOST"))
		all, _, err := w.runner.List(t.Context(), "main", runner.Filter{}, runner.Cursor{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "  %d stored\n", len(all))
	}
	return out.String()
}

// repeated replaces each {...}~n by n of it, in which # is its number.
func repeated(t *testing.T, body string) string {
	before, after, found := strings.Cut(body, "~")
	if !found {
		return body
	}
	var n int
	if _, err := fmt.Sscanf(after, "%d", &n); err != nil {
		t.Fatal(err)
	}
	start := strings.LastIndex(before, "[") + 1
	var parts []string
	for i := range n {
		parts = append(parts, strings.ReplaceAll(before[start:], "#", fmt.Sprint(i)))
	}
	return before[:start] + strings.Join(parts, ",") + strings.TrimLeft(after, "0123456789")
}

func (w *world) call(t *testing.T, method, body string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		w.coordinator+"/backlot.coordinator.v1.CoordinatorService/"+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(identity.Header, map[bool]string{true: "operator", false: "service"}[strings.HasPrefix(method, "Force") || strings.HasPrefix(method, "Retry")])
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// show is an answer in lines.
func show(t *testing.T, status int, answer []byte) string {
	t.Helper()
	var told struct {
		Code, Message string
		Details       []struct {
			Debug struct {
				FieldViolations []struct{ Field, Description string }
			}
		}
		Transaction *struct {
			State, Problem string
			Branches       []struct {
				Spec             struct{ BranchID string }
				State, LastError string
			}
		}
	}
	if err := json.Unmarshal(answer, &told); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	var out bytes.Buffer
	if told.Code != "" {
		fmt.Fprintf(&out, "  %d %s: %s\n", status, told.Code, strings.NewReplacer("\n", "\n  ", "\u00a0", " ").Replace(told.Message)) // protobuf's errors vary
	}
	for _, detail := range told.Details {
		for _, violation := range detail.Debug.FieldViolations {
			fmt.Fprintf(&out, "  field %s\n", violation.Field)
		}
	}
	if told.Transaction != nil {
		fmt.Fprintf(&out, "  %s", strings.ToLower(strings.TrimPrefix(told.Transaction.State, "TRANSACTION_STATE_")))
		if told.Transaction.Problem != "" {
			fmt.Fprintf(&out, " (%s)", told.Transaction.Problem)
		}
		for _, branch := range told.Transaction.Branches {
			fmt.Fprintf(&out, ", %s %s", branch.Spec.BranchID, strings.ToLower(strings.TrimPrefix(branch.State, "BRANCH_STATE_")))
		}
		fmt.Fprintln(&out)
	} else if told.Code == "" {
		var compact bytes.Buffer // protojson's spaces vary
		if err := json.Compact(&compact, answer); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "  %s\n", &compact)
	}
	return out.String()
}
