package tool

import (
	"fmt"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

const blocked = "kind: RuleList\nname: blocked\nspec:\n  entries: [%q]\n"

// canaryID reads that of a canary that was told of.
func canaryID(t *testing.T, out string) string {
	t.Helper()
	_, after, found := strings.Cut(out, "canary ")
	id, _, _ := strings.Cut(after, " ")
	if !found || len(id) != 36 {
		t.Fatalf("no canary in %q", out)
	}
	return id
}

func TestCanaryIsStartedShownPromotedAndAborted(t *testing.T) {
	do := scripted(t)
	fromInput = fmt.Sprintf(blocked, "one")
	do(tool.ExitOK, "release ", "apply", "-")
	fromInput = fmt.Sprintf(blocked, "two")
	first := canaryID(t, do(tool.ExitOK, "step 1 of 2, 2.5% of the instances", "apply", "-", "--canary", "2.5%@1h,50%", "--reason", "a spammer"))
	do(tool.ExitOK, "one", "get", "rulelist", "blocked")
	do(tool.ExitUsage, "is in canary "+first, "canary", "start", "-", "--steps", "10%")
	_, err := reportTo.Acknowledge(t.Context(), &configstorev1.AcknowledgeRequest{Report: &configstorev1.Report{
		Subscriber: &configstorev1.Subscriber{Id: "rules-1"}, StartedAt: 1, Sequence: 1,
		Kinds: []*configstorev1.Acknowledgement{{Kind: "RuleList", Revision: 1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"puts     RuleList blocked", "a spammer", "others", "waits for"} {
		do(tool.ExitOK, want, "canary", "status", first)
	}
	do(tool.ExitOK, "step 2 of 2, 50%", "canary", "promote", first)
	do(tool.ExitOK, "promoted, release ", "canary", "promote", first)
	do(tool.ExitOK, "two", "get", "rulelist", "blocked")
	do(tool.ExitOK, "a spammer (canary "+first, "history")
	fromInput = fmt.Sprintf(blocked, "three")
	second := canaryID(t, do(tool.ExitOK, "step 1 of 1", "canary", "start", "-", "--steps", "100%", "--match", "service=rules", "--max-bad", "1%", "--max-bad-times", "2"))
	do(tool.ExitOK, "aborted: too slow", "canary", "abort", second, "--reason", "too slow")
	do(tool.ExitOK, "aborted: too slow", "canary")
	do(tool.ExitOK, `"state": "STATE_ABORTED"`, "canary", "--json")
	do(tool.ExitUsage, "has ended: too slow", "canary", "promote", second)
	fromInput = strings.Split(shop, "---\n")[0]
	do(tool.ExitUsage, "clients of xDS report no health", "canary", "start", "-", "--steps", "100%", "--max-bad", "1%")
	do(tool.ExitOK, "step 1 of 1", "canary", "start", "-", "--steps", "100%")
	for _, wrong := range [][]string{
		{"canary", "start", "-"},
		{"canary", "start", "-", "--steps", "0%"},
		{"canary", "start", "--steps", "5%"},
		{"canary", "drop", "x"},
		{"canary", "promote"},
		{"apply", "-", "--canary", "120%"},
		{"apply", "-", "--canary", "5%", "--draft", "--reason", "x"},
		{"canary", "start", "-", "--steps", "5%", "--max-bad-times", "NaN"},
		{"canary", "start", "-", "--steps", "5%", "--match", "zone"},
	} {
		do(tool.ExitUsage, "", wrong...)
	}
	fromInput = fmt.Sprintf(blocked, "four")
	draft := strings.Fields(do(tool.ExitOK, "draft ", "apply", "-", "--draft", "--reason", "reviewed"))
	third := canaryID(t, do(tool.ExitOK, "step 1 of 1", "canary", "start", "--draft", draft[len(draft)-1], "--steps", "30%"))
	do(tool.ExitOK, "reviewed", "canary", "status", third)
	do(tool.ExitUsage, "draft", "canary", "start", "--draft", draft[len(draft)-1], "--steps", "30%")
}
