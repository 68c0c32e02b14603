package journey

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/e2e/internal/client"
	"github.com/backlot-video/backlot/e2e/internal/cluster"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

// TestALongListOutlivesKillsAndItsBucket releases a list of 300,000 cards,
// changes it on top, and kills Backlot and takes the bucket away.
func TestALongListOutlivesKillsAndItsBucket(t *testing.T) {
	node := cluster.NewNode(t, cluster.Race)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var cards strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&cards, "card-%09d\n", i)
	}
	file := filepath.Join(t.TempDir(), "cards.txt")
	if err := os.WriteFile(file, []byte(cards.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	list := func(args ...string) string {
		t.Helper()
		args = append([]string{"rules", "list", "--gateway", node.URL(), "--data-dir", node.Dir}, args...)
		out, err := exec.CommandContext(ctx, node.Binary, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	up := node.Up()
	list("put", "stolen", file, "--match", "exact", "--reason", "e2e")
	list("add", "stolen", "another")
	if out := list("remove", "stolen", "card-000000007"); !strings.Contains(out, "300000 entries") {
		t.Errorf("after changes: %s", out)
	}
	operator, err := client.Operator(ctx, node.URL(), node.OperatorKey())
	if err != nil {
		t.Fatal(err)
	}
	release(ctx, t, operator, "rule stolen when card in list @stolen then deny\n")

	judge := func() {
		t.Helper()
		operator, err := client.Operator(ctx, node.URL(), node.OperatorKey())
		if err != nil {
			t.Fatal(err)
		}
		for card, want := range map[string]rulesv1.Action{
			"card-000299999": rulesv1.Action_ACTION_DENY, "another": rulesv1.Action_ACTION_DENY,
			"card-000000007": rulesv1.Action_ACTION_ALLOW, "card-000300000": rulesv1.Action_ACTION_ALLOW,
		} {
			judged, err := operator.Rules.Evaluate(ctx, &rulesv1.EvaluateRequest{
				FactType: "backlot.rules.v1.PaymentFact", Fact: &rulesv1.EvaluateRequest_Json{Json: `{"card": "` + card + `"}`},
			})
			if err != nil || judged.GetDecision().GetVerdict() != want {
				t.Errorf("card %s: %v, %v; want %v", card, judged.GetDecision(), err, want)
			}
		}
	}
	judge()
	up.Kill()
	if err := os.RemoveAll(filepath.Join(node.Dir, "blob", "lists")); err != nil {
		t.Fatal(err)
	}
	up = node.Up()
	judge()
	if out := list("put", "stolen", file, "--match", "exact"); strings.Contains(out, ", 0 of them new") {
		t.Errorf("the bucket was taken away, yet nothing was put again: %s", out)
	}

	// A ruleset of a list that is not there is rejected, until it is there.
	if operator, err = client.Operator(ctx, node.URL(), node.OperatorKey()); err != nil {
		t.Fatal(err)
	}
	apply(ctx, t, operator, "rule mule when card in list @mules then deny\n")
	status(ctx, t, node, "1 of 1 rejected", "mules")
	list("put", "mules", file, "--match", "exact", "--reason", "e2e")
	status(ctx, t, node, "")
	up.Stop()
}

// status waits until backlot config status says all of said of rulesets and
// ends with 1; with one that is empty, until it finds nothing to say.
func status(ctx context.Context, t *testing.T, node *cluster.Node, said ...string) {
	t.Helper()
	var last string
	_, err := await(ctx, func() (struct{}, bool, error) {
		args := []string{"config", "status", "Ruleset", "--gateway", node.URL(), "--data-dir", node.Dir}
		out, err := exec.CommandContext(ctx, node.Binary, args...).CombinedOutput()
		last = string(out)
		done := (err == nil) == (said[0] == "")
		for _, part := range said {
			done = done && strings.Contains(last, part)
		}
		return struct{}{}, done, nil
	})
	if err != nil {
		t.Fatalf("config status: want %q, got\n%s", said, last)
	}
}

// apply releases a ruleset for payments, whether it can be used or not.
func apply(ctx context.Context, t *testing.T, operator *client.Session, source string) *configstorev1.ApplyResponse {
	t.Helper()
	spec, err := anypb.New(&rulesv1.Ruleset{FactType: "backlot.rules.v1.PaymentFact", Source: source})
	if err != nil {
		t.Fatal(err)
	}
	applied, err := operator.Config.Apply(ctx, &configstorev1.ApplyRequest{Reason: "e2e", Changes: []*configstorev1.Change{{
		Change: &configstorev1.Change_Put{Put: &configstorev1.Object{Key: &configstorev1.Key{Kind: "Ruleset", Name: "payments"}, Spec: spec}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

// release puts a ruleset for payments in force.
func release(ctx context.Context, t *testing.T, operator *client.Session, source string) {
	t.Helper()
	applied := apply(ctx, t, operator, source)
	_, err := await(ctx, func() (struct{}, bool, error) {
		listed, err := operator.Rules.ListRulesets(ctx, &rulesv1.ListRulesetsRequest{})
		for _, status := range listed.GetRulesets() {
			if status.GetName() == "payments" && status.GetVersion() == applied.GetObjects()[0].GetReleaseId() {
				return struct{}{}, true, err
			}
		}
		return struct{}{}, false, err
	})
	if err != nil {
		t.Fatal(err)
	}
}
