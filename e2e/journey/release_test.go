package journey

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/client"
	"github.com/backlot-video/backlot/e2e/internal/cluster"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
)

const paymentFact = "backlot.rules.v1.PaymentFact"

// released is a Backlot whose rulesets are released.
type released struct {
	t        *testing.T
	node     *cluster.Node
	releases rulesv1connect.ReleaseServiceClient
	rules    rulesv1connect.RulesServiceClient
	dir      string
}

// TestRulesetsAreReleasedStepByStep releases a ruleset by shadow, canary and
// full with the tool, has a bad one refused, rolls back by one command, has
// one rolled back by itself, kills Backlot between steps, and finds all of it
// told to a webhook.
func TestRulesetsAreReleasedStepByStep(t *testing.T) {
	hook := newHook(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--rules.webhooks", hook.url, "--rules.webhook-secret", secret}
	r := &released{t: t, node: cluster.NewNode(t, cluster.Crash), dir: t.TempDir()}
	began := time.Now()
	up := r.node.Up(args...)
	r.connect()

	// A draft with faults is refused with the place.
	if out, err := r.tool("release", r.source("rule a when amuont > 1 then deny"), "--ruleset", "payments", "--stage", "full", "--reason", "bad"); err == nil || !strings.Contains(out, "did you mean 'amount'?") {
		t.Errorf("a bad ruleset: %v\n%s", err, out)
	}
	before := r.live()

	// Shadow: compared, never the answer.
	denying := r.source(`rule all when viewer_id != "" then deny`)
	r.must("release", denying, "--ruleset", "payments", "--reason", "first", "--min-sample", "1000000",
		"--stage", "shadow, canary=30% by viewer_id, full")
	r.await("shadow", func() bool { return r.report().GetStage() == rulesv1.Stage_STAGE_SHADOW })
	if denied := r.judge(40); denied != 0 {
		t.Errorf("in shadow %d of 40 are denied", denied)
	}
	if report := r.report(); report.GetCandidate().GetDenied() != 40 || report.GetLive().GetDenied() != 0 {
		t.Errorf("shadow saw %v", report)
	}
	// A kill between steps changes nothing of them.
	up.Kill()
	up = r.node.Up(args...)
	r.connect()
	r.await("shadow after a kill", func() bool { return r.report().GetStage() == rulesv1.Stage_STAGE_SHADOW })

	r.must("promote", "payments")
	r.await("canary", func() bool { return r.report().GetStage() == rulesv1.Stage_STAGE_CANARY })
	if denied := r.judge(200); denied < 30 || denied > 90 || r.judge(200) != denied {
		t.Errorf("a canary of 30%% denies %d of 200", denied)
	}
	up.Kill()
	up = r.node.Up(args...)
	r.connect()
	r.await("canary after a kill", func() bool { return r.report().GetStage() == rulesv1.Stage_STAGE_CANARY })
	r.must("promote", "payments")
	r.await("full", func() bool { return r.judge(20) == 20 })

	up = r.goBack(up, args, denying, before)
	log := r.ruleset().GetRuleset().GetLog()
	r.await("all steps at the webhook", func() bool { return hook.has(len(log)) && hook.refusals() > 0 })
	up.Stop()
	t.Logf("four starts, three kills, %d steps in %v", len(log), time.Since(began).Round(time.Millisecond))
}

// goBack rolls back by one command, has a rollout roll back by itself, and
// kills Backlot after that.
func (r *released) goBack(up *cluster.Process, args []string, denying, before string) *cluster.Process {
	r.t.Helper()
	r.must("rollback", "payments", "--reason", "too strict")
	r.await("the version before", func() bool { return r.judge(20) == 0 })
	if now := r.live(); now == before || !strings.HasPrefix(now, "payments.") {
		r.t.Errorf("the source of before is to have become a version, found %s", now)
	}

	// A rollout whose deny rate leaves its band goes back by itself.
	r.must("release", denying, "--ruleset", "payments", "--reason", "again", "--min-sample", "50", "--stage", "full for 1h")
	r.await("in force again", func() bool { return r.judge(1) == 1 })
	r.judge(100)
	r.await("rolled back by itself", func() bool { return r.judge(5) == 0 && r.report() == nil })
	log := r.ruleset().GetRuleset().GetLog()
	last := log[len(log)-1]
	if last.GetAuthor() != "service/rules" || !strings.Contains(last.GetReason(), "deny rate") {
		r.t.Errorf("rolled back as %v", last)
	}
	up.Kill()
	up = r.node.Up(args...)
	r.connect()
	if denied := r.judge(20); denied != 0 {
		r.t.Errorf("after the restart %d of 20 are denied", denied)
	}
	return up
}

// connect makes clients of the operator.
func (r *released) connect() {
	r.t.Helper()
	operator, err := client.Operator(r.t.Context(), r.node.URL(), r.node.OperatorKey())
	if err != nil {
		r.t.Fatal(err)
	}
	r.releases = rulesv1connect.NewReleaseServiceClient(operator.HTTP, r.node.URL())
	r.rules = operator.Rules
	// The gateway may learn of the service a moment later.
	r.await("rules at the gateway", func() bool {
		_, err := r.releases.GetRuleset(r.t.Context(), &rulesv1.GetRulesetRequest{Ruleset: "payments"})
		return err == nil
	})
}

// await repeats a check until it holds.
func (r *released) await(what string, holds func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("%s: it did not come; %v", what, r.ruleset())
		}
	}
}

func (r *released) ruleset() *rulesv1.GetRulesetResponse {
	r.t.Helper()
	got, err := r.releases.GetRuleset(r.t.Context(), &rulesv1.GetRulesetRequest{Ruleset: "payments"})
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func (r *released) report() *rulesv1.RolloutReport { return r.ruleset().GetReport() }

func (r *released) live() string { return r.ruleset().GetStatus().GetVersion() }

// judge judges a payment of each of some viewers, all well within the rules
// of a new installation, and returns how many are denied.
func (r *released) judge(viewers int) (denied int) {
	r.t.Helper()
	request := &rulesv1.EvaluateBatchRequest{}
	for i := range viewers {
		request.Requests = append(request.Requests, &rulesv1.EvaluateRequest{
			FactType: paymentFact, Fact: &rulesv1.EvaluateRequest_Json{Json: fmt.Sprintf(`{"viewer_id": "viewer-%d"}`, i)},
		})
	}
	response, err := r.rules.EvaluateBatch(r.t.Context(), request)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, d := range response.GetDecisions() {
		if d.GetVerdict() == rulesv1.Action_ACTION_DENY {
			denied++
		}
	}
	return denied
}

func (r *released) source(text string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, fmt.Sprintf("%d.rules", len(text)))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// tool runs `backlot rules`.
func (r *released) tool(args ...string) (string, error) {
	args = append([]string{"rules", args[0], "--gateway", r.node.URL(), "--operator-key", r.node.OperatorKey()}, args[1:]...)
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	command := exec.CommandContext(ctx, r.node.Binary, args...)
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	return out.String(), err
}

func (r *released) must(args ...string) {
	r.t.Helper()
	if out, err := r.tool(args...); err != nil {
		r.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// hook is the other side of a webhook, which fails each first try.
type hook struct {
	url string

	mu      sync.Mutex
	seen    map[string]bool // ids of deliveries
	steps   map[string]bool // numbers of transitions
	refused int
}

func newHook(t *testing.T) *hook {
	h := &hook{seen: map[string]bool{}, steps: map[string]bool{}}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var body struct {
		ID, Type string
		Data     struct{ Transition struct{ Number string } }
	}
	raw, err := io.ReadAll(request.Body)
	if err == nil {
		err = json.Unmarshal(raw, &body)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || !h.seen[body.ID] || request.Header.Get("Backlot-Signature") == "" {
		h.seen[body.ID] = true
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if body.Type == "backlot.rules.ruleset_refused.v1" {
		h.refused++
	} else {
		h.steps[body.Data.Transition.Number] = true
	}
}

// has tells whether the steps 1 to n were delivered.
func (h *hook) has(n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range n {
		if !h.steps[fmt.Sprint(i+1)] {
			return false
		}
	}
	return true
}

func (h *hook) refusals() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused
}
