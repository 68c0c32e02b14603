package tool

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

func TestStepsAreRead(t *testing.T) {
	for text, want := range map[string]*rulesv1.Step{
		"shadow":                          {Stage: rulesv1.Stage_STAGE_SHADOW},
		" shadow for 1h ":                 {Stage: rulesv1.Stage_STAGE_SHADOW, HoldSeconds: 3600},
		"canary":                          {Stage: rulesv1.Stage_STAGE_CANARY},
		"canary=0.5%":                     {Stage: rulesv1.Stage_STAGE_CANARY, CanaryPpm: 5000},
		"canary=100% by viewer_id for 1m": {Stage: rulesv1.Stage_STAGE_CANARY, CanaryPpm: 1_000_000, HoldSeconds: 60},
		"full for 30m":                    {Stage: rulesv1.Stage_STAGE_FULL, HoldSeconds: 1800},
	} {
		step, by, err := parseStep(text)
		if err != nil || !proto.Equal(step, want) || (by == "viewer_id") != strings.Contains(text, "viewer_id") {
			t.Errorf("%q: %v by %q, %v", text, step, by, err)
		}
	}
	for _, text := range []string{"", "live", "shadow=5%", "canary=5", "canary=0%", "canary=101%", "canary=x%", "canary by", "full by x", "shadow for", "shadow for x", "shadow for 1ms", "shadow 1h"} {
		if step, _, err := parseStep(text); err == nil {
			t.Errorf("%q is taken as %v", text, step)
		}
	}
}

func TestFlagsOfAReleaseAreChecked(t *testing.T) {
	for name, r := range map[string]*releaser{
		"no reason":  {stages: repeated{"full"}},
		"two fields": {stages: repeated{"canary=1% by a", "canary=2% by b"}, reason: "x"},
		"bad label":  {stages: repeated{"canary"}, labels: repeated{"ring"}, reason: "x"},
		"bad band":   {bands: bands{maxDeny: 101}},
	} {
		if request, err := r.request(); err == nil || !strings.Contains(err.Error(), "--") {
			t.Errorf("%s: %v, %v", name, request, err)
		}
	}
	r := &releaser{
		stages: repeated{"shadow for 1h", "canary=5% by viewer_id"}, labels: repeated{"ring=early"}, reason: "x",
		bands: bands{denyShift: 2.5, sample: 7},
	}
	request, err := r.request()
	if err != nil || len(request.GetSteps()) != 2 || request.GetCanaryBy() != "viewer_id" || request.GetLabels()["ring"] != "early" ||
		request.GetBands().GetMaxDenyShiftPpm() != 25_000 || request.GetBands().GetMinSample() != 7 {
		t.Errorf("got %v, %v", request, err)
	}
}
