package release

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/identity"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

func TestAReleaseGoesStepByStepAndBack(t *testing.T) {
	b := newBench(t)
	ctx := identity.With(t.Context(), identity.Principal{Kind: identity.Operator, ID: "o", TenantID: "main"})
	one, two := b.version(t, "review"), b.version(t, "challenge")
	if spec := b.start(t, one, full); spec.GetLiveVersion() != one || b.judged(t, 1) != one {
		t.Fatalf("the first version: %v", spec)
	}
	b.start(t, two, shadow, canary)
	if b.judged(t, 1) != one {
		t.Error("a version in shadow answers")
	}
	for _, want := range []rulesv1.Stage{rulesv1.Stage_STAGE_CANARY, rulesv1.Stage_STAGE_FULL} {
		spec, err := b.Promote(ctx, "payments", nil, "on")
		if err != nil || spec.GetRollout().GetStep().GetStage() != want {
			t.Fatalf("%v, %v", spec, err)
		}
	}
	if b.judged(t, 1) != two {
		t.Error("a version in full does not answer")
	}
	if _, err := b.Promote(ctx, "payments", nil, ""); !errors.Is(err, ErrState) {
		t.Errorf("nothing runs any more: %v", err)
	}
	spec, err := b.Rollback(ctx, "payments", "", "back")
	if err != nil || spec.GetLiveVersion() != one || len(spec.GetPreviousVersions()) != 0 || b.judged(t, 1) != one {
		t.Errorf("%v, %v", spec, err)
	}
	if spec.GetRollout().GetState() != rulesv1.Rollout_STATE_ROLLED_BACK {
		t.Errorf("got %v", spec.GetRollout())
	}
	if _, err := b.Rollback(ctx, "payments", "", "further"); !errors.Is(err, ErrState) {
		t.Errorf("nothing is before the first: %v", err)
	}
	if spec, err = b.Rollback(ctx, "payments", two, "forth"); err != nil || spec.GetLiveVersion() != two {
		t.Errorf("%v, %v", spec, err)
	}
	for i, step := range spec.GetLog() {
		if step.GetNumber() != uint64(i+1) {
			t.Errorf("step %d has number %d", i+1, step.GetNumber())
		}
	}
	if last := spec.GetLog()[len(spec.GetLog())-1]; last.GetAuthor() != "operator/o" || last.GetReason() != "forth" {
		t.Errorf("got %v", last)
	}
}

func TestASourceOfTheRulesetItselfBecomesAVersionToReturnTo(t *testing.T) {
	b := newBench(t)
	inline := "rule a when viewer_id == \"x\" then deny"
	changes, err := appendPut(nil, rulesetKind, "payments", &rulesv1.Ruleset{FactType: factType, Source: inline}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Store.apply(t.Context(), "simple", changes); err != nil || b.judged(t, 1) != "revision-1" {
		t.Fatalf("the simple way: %v", err)
	}
	b.start(t, b.version(t, "review"), full)
	spec, err := b.Rollback(t.Context(), "payments", "", "back")
	if err != nil || spec.GetLiveVersion() != NameOf("payments", factType, inline) || b.judged(t, 1) != spec.GetLiveVersion() {
		t.Errorf("%v, %v", spec, err)
	}
}

func TestWhatCannotBeReleasedIsRefusedByField(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	if draft, err := b.CreateVersion(ctx, "payments", factType, "rule a when amuont > 5 then deny", ""); err != nil || draft.Version != "" || len(draft.Checked.Errors) != 1 {
		t.Errorf("a bad source: %+v, %v", draft, err)
	}
	if draft, err := b.CreateVersion(ctx, "payments", factType, "test \"t\" given {} expect deny", ""); err != nil || draft.Version != "" || len(b.alarms) != 2 {
		t.Errorf("a failing test: %+v, %v, %d alarms", draft, err, len(b.alarms))
	}
	if _, err := b.CreateVersion(ctx, "new", "", "", ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("no fact type: %v", err)
	}
	one := b.version(t, "review")
	begin := func(version, by string, labels map[string]string, steps ...*rulesv1.Step) error {
		_, err := b.StartRollout(ctx, &rulesv1.StartRolloutRequest{Version: version, CanaryBy: by, Labels: labels, Steps: steps, Reason: "x"})
		return err
	}
	if err := begin(one, "", nil, shadow); !errors.Is(err, ErrState) {
		t.Errorf("nothing to compare with: %v", err)
	}
	b.start(t, one, full)
	two := b.version(t, "deny")
	for name, test := range map[string]struct {
		err  error
		want error
		text string
	}{
		"unknown version": {begin("payments.000000000000", "", nil, shadow), ErrUnknownVersion, "payments.0"},
		"in force":        {begin(one, "", nil, shadow), ErrState, "in force already"},
		"unknown field":   {begin(two, "viewer", nil, canary), ErrInvalid, "canary_by"},
		"no field":        {begin(two, "", nil, canary), ErrInvalid, "canary_by"},
		"no share":        {begin(two, "", nil, &rulesv1.Step{Stage: rulesv1.Stage_STAGE_CANARY}), ErrInvalid, "steps[0].canary_ppm"},
		"backwards":       {begin(two, "viewer_id", nil, canary, shadow), ErrInvalid, "steps[1].stage"},
		"after full":      {begin(two, "", nil, full, full), ErrInvalid, "steps[1].stage"},
	} {
		if !errors.Is(test.err, test.want) || !strings.Contains(test.err.Error(), test.text) {
			t.Errorf("%s: %v", name, test.err)
		}
	}
	if err := begin(two, "", map[string]string{"ring": "early"}, &rulesv1.Step{Stage: rulesv1.Stage_STAGE_CANARY}); err != nil {
		t.Errorf("by labels: %v", err)
	}
	if _, err := b.Promote(ctx, "none", nil, ""); !errors.Is(err, ErrUnknownRuleset) {
		t.Errorf("got %v", err)
	}
	if _, err := (&Manager{Catalog: b.Catalog}).Rollback(ctx, "payments", "", "x"); !errors.Is(err, ErrNoConfigstore) {
		t.Errorf("got %v", err)
	}
}

func TestPackIsBoundedBothWays(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var hard strings.Builder
	for hard.Len() < 2<<20 {
		hard.WriteByte(byte(' ' + random.IntN(90)))
	}
	if _, err := Pack(hard.String()); !errors.Is(err, ErrInvalid) {
		t.Errorf("2 MiB of noise: %v", err)
	}
	if _, err := Pack(strings.Repeat("#", MaxSource+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("above the limit: %v", err)
	}
	bomb, err := Pack(strings.Repeat("#", MaxSource))
	if err != nil {
		t.Fatal(err)
	}
	if source, err := Unpack(bomb); err != nil || len(source) != MaxSource {
		t.Errorf("%d bytes, %v", len(source), err)
	}
	for name, packed := range map[string][]byte{"empty": nil, "noise": []byte("noise"), "torn": bomb[:len(bomb)/2]} {
		if _, err := Unpack(packed); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Unpack(append(append([]byte(nil), bomb...), bomb...)); !errors.Is(err, ErrInvalid) {
		t.Errorf("two members above the limit: %v", err)
	}
}
