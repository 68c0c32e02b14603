package release

import (
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

func TestARolloutThatLeavesItsBandIsTakenBackByItself(t *testing.T) {
	for name, step := range map[string]*rulesv1.Step{"shadow": shadow, "full": {Stage: rulesv1.Stage_STAGE_FULL, HoldSeconds: 3600}} {
		b := newBench(t)
		one, two := b.version(t, "allow"), b.version(t, "deny")
		b.start(t, one, full)
		b.start(t, two, step)
		b.judged(t, 9)
		b.controller.Step(t.Context())
		if !isRunning(b.spec(t)) {
			t.Fatalf("%s: taken back after 9 facts", name)
		}
		b.judged(t, 1)
		b.objects.refuse = connect.NewError(connect.CodeUnavailable, errors.New("down"))
		b.controller.Step(t.Context())
		if answered := b.judged(t, 1); answered != one || !isRunning(b.spec(t)) {
			t.Errorf("%s: with the configstore down, %s answers", name, answered)
		}
		b.now = b.now.Add(applyPause)
		b.controller.Step(t.Context())
		spec := b.spec(t)
		if isRunning(spec) || spec.GetLiveVersion() != one || b.judged(t, 1) != one {
			t.Errorf("%s: not taken back: %v", name, spec)
		}
		last := spec.GetLog()[len(spec.GetLog())-1]
		if last.GetAuthor() != "service/rules" || !strings.Contains(last.GetReason(), "band left: deny rate 100.00%") {
			t.Errorf("%s: told as %v", name, last)
		}
	}
}

func TestARolloutThatAReplicaCannotLoadEnds(t *testing.T) {
	for name, test := range map[string]struct {
		gone int // which version's object is lost
		step *rulesv1.Step
		live int // in force then
		kind rulesv1.Transition_Kind
	}{
		"the new one in shadow":  {1, shadow, 0, rulesv1.Transition_KIND_ROLLED_BACK},
		"the former one in full": {0, &rulesv1.Step{Stage: rulesv1.Stage_STAGE_FULL, HoldSeconds: 3600}, 1, rulesv1.Transition_KIND_COMPLETED},
	} {
		b := newBench(t)
		versions := [2]string{b.version(t, "review"), b.version(t, "challenge")}
		b.start(t, versions[0], full)
		b.start(t, versions[1], test.step)
		// Another replica, which has not got it and nothing on its disk.
		other := newBench(t)
		other.Store, other.controller.Store, other.now = b.Store, b.Store, b.now
		for i, version := range versions {
			if i != test.gone {
				other.Follower.PutVersion(version, b.Follower.versions[version])
			}
		}
		other.Follower.PutRuleset("payments", "", b.spec(t), false)
		other.controller.Step(t.Context())
		if !isRunning(b.spec(t)) {
			t.Errorf("%s: ended at once", name)
		}
		other.now = other.now.Add(loadTime + time.Second)
		other.controller.Step(t.Context())
		spec := b.spec(t)
		last := spec.GetLog()[len(spec.GetLog())-1]
		if isRunning(spec) || spec.GetLiveVersion() != versions[test.live] || last.GetKind() != test.kind || !strings.Contains(last.GetReason(), "has not arrived") {
			t.Errorf("%s: %v", name, spec)
		}
	}
}

func TestStepsFollowByThemselvesOnEvidence(t *testing.T) {
	b := newBench(t)
	one, two := b.version(t, "review"), b.version(t, "challenge")
	b.start(t, one, full)
	hold := func(step *rulesv1.Step) *rulesv1.Step {
		return &rulesv1.Step{Stage: step.GetStage(), CanaryPpm: step.GetCanaryPpm(), HoldSeconds: 60}
	}
	b.start(t, two, hold(shadow), hold(canary), hold(full))
	b.now = b.now.Add(time.Hour)
	b.controller.Step(t.Context())
	if stage := b.spec(t).GetRollout().GetStep().GetStage(); stage != rulesv1.Stage_STAGE_SHADOW {
		t.Fatalf("in %v without a fact", stage)
	}
	for _, want := range []rulesv1.Rollout_State{running, running, rulesv1.Rollout_STATE_COMPLETED} {
		b.judged(t, 10)
		b.now = b.now.Add(time.Minute)
		b.controller.Step(t.Context())
		if state := b.spec(t).GetRollout().GetState(); state != want {
			t.Fatalf("%v, want %v", b.spec(t), want)
		}
	}
	if spec := b.spec(t); spec.GetLiveVersion() != two || len(spec.GetLog()) != 5 {
		t.Errorf("got %v", spec)
	}
}

func TestOnlyOneOfManyChangesWins(t *testing.T) {
	b := newBench(t)
	one, two := b.version(t, "review"), b.version(t, "deny")
	b.start(t, one, full)
	b.start(t, two, shadow)
	b.judged(t, 10)
	// An operator rolls back in the moment in which the replica does.
	b.objects.before = func() {
		if _, err := b.Rollback(t.Context(), "payments", "", "by hand"); err != nil {
			t.Error(err)
		}
	}
	b.controller.Step(t.Context())
	if spec := b.spec(t); spec.GetRollout().GetReason() != "by hand" || len(spec.GetLog()) != 3 || spec.GetLiveVersion() != one {
		t.Errorf("got %v", spec)
	}
}

func TestAReplicaWaitsForAVersionThatIsOnItsWay(t *testing.T) {
	b := newBench(t)
	b.start(t, b.version(t, "review"), full)
	live := b.judged(t, 1)
	_, version, err := newVersion("payments", factType, "rule a when viewer_id == \"x\" then deny", By{Now: b.now})
	if err != nil {
		t.Fatal(err)
	}
	name := NameOf("payments", factType, "rule a when viewer_id == \"x\" then deny")
	spec := &rulesv1.Ruleset{FactType: factType, LiveVersion: name}
	b.Follower.PutRuleset("payments", "", spec, true)
	if b.judged(t, 1) != live || len(b.alarms) != 0 {
		t.Error("it did not wait")
	}
	b.Follower.PutVersion(name, version)
	if b.judged(t, 1) != name {
		t.Error("it did not take the version up")
	}
	b.Follower.PutRuleset("payments", "", &rulesv1.Ruleset{FactType: factType, LiveVersion: "payments.gone"}, true)
	b.now = b.now.Add(patience + 1)
	b.Follower.Settle()
	if b.judged(t, 1) != name || len(b.alarms) != 1 {
		t.Errorf("%d alarms of a version that does not come", len(b.alarms))
	}
	version.SourceGzip = version.SourceGzip[:len(version.SourceGzip)-1]
	b.Follower.DeleteVersion(name)
	b.Follower.PutVersion(name, version)
	b.Follower.PutRuleset("payments", "", spec, true)
	if status := b.Catalog.Status(); status[0].Version != name || status[0].Rejected != "" {
		t.Errorf("a torn version that is in force already: %+v", status)
	}
}
