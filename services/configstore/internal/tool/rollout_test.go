package tool

import (
	"fmt"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

func TestStatusShowsWhoRejectsWhatAndWhoIsBehind(t *testing.T) {
	do := scripted(t)
	do(tool.ExitOK, "no instance has reported", "status")
	fromInput = shop
	revision := revisionOf(t, do(tool.ExitOK, "release ", "apply", "-"))
	report := func(id string, at int64, reasons ...string) {
		t.Helper()
		a := &configstorev1.Acknowledgement{Kind: "Route", Revision: at}
		for _, reason := range reasons {
			a.Rejected = append(a.Rejected, &configstorev1.Rejection{Namespace: "default", Name: "shop", Revision: revision, Reason: reason})
		}
		_, err := reportTo.Acknowledge(t.Context(), &configstorev1.AcknowledgeRequest{Report: &configstorev1.Report{
			Subscriber: &configstorev1.Subscriber{Id: id}, StartedAt: 1, Sequence: 1, Kinds: []*configstorev1.Acknowledgement{a},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 36 {
		report(fmt.Sprintf("rules-%d", n), revision)
	}
	do(tool.ExitOK, "36", "status")
	for n := range 3 {
		report(fmt.Sprintf("gate-%d", n), revision, "path is too long\x1b[2J")
	}
	report("late", revision-1)
	out := do(tool.ExitFaults, fmt.Sprintf("3 of 40 rejected revision %d: Route shop: path is too long", revision), "status", "route")
	for _, want := range []string{"gate-0, gate-1, gate-2", fmt.Sprintf("1 of 40 are behind revision %d", revision), fmt.Sprintf("late (at %d", revision-1)} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("a reason reached the terminal raw")
	}
	do(tool.ExitFaults, `"rejected": 3`, "status", "--json")
	do(tool.ExitUsage, "want one KIND", "status", "a", "b")
}

// revisionOf reads that of a release that was told of.
func revisionOf(t *testing.T, out string) (revision int64) {
	t.Helper()
	_, after, _ := strings.Cut(out, "revision ")
	if _, err := fmt.Sscanf(after, "%d", &revision); err != nil {
		t.Fatalf("no revision in %q", out)
	}
	return revision
}
