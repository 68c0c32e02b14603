package release

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

const running = rulesv1.Rollout_STATE_RUNNING

// isRunning tells whether a ruleset has a rollout that runs.
func isRunning(spec *rulesv1.Ruleset) bool { return spec.GetRollout().GetState() == running }

// adopt makes a version of the source that a ruleset holds itself, so that
// there is one to return to. Without such a source it returns nothing.
func adopt(ruleset string, spec *rulesv1.Ruleset, by By) (name string, version *rulesv1.RulesetVersion, err error) {
	if spec.GetLiveVersion() != "" || spec.GetSource() == "" {
		return "", nil, nil
	}
	by.Reason = "in force before releases"
	name, version, err = newVersion(ruleset, spec.GetFactType(), spec.GetSource(), by)
	if err != nil {
		return "", nil, err
	}
	spec.LiveVersion, spec.Source = name, ""
	return name, version, nil
}

// start begins a rollout. version is the name of the version's object.
func start(spec *rulesv1.Ruleset, version string, plan *rulesv1.StartRolloutRequest, by By) error {
	if err := checkPlan(plan); err != nil {
		return err
	}
	steps := plan.GetSteps()
	switch {
	case version == spec.GetLiveVersion():
		return fmt.Errorf("%w: version: %s is in force already", ErrState, version)
	case spec.GetLiveVersion() == "" && steps[0].GetStage() != rulesv1.Stage_STAGE_FULL:
		return fmt.Errorf("%w: steps[0].stage: nothing is in force that a first version could be compared with; release it in full", ErrState)
	}
	spec.Rollout = &rulesv1.Rollout{
		Version: version, State: running, Next: steps[1:], CanaryBy: plan.GetCanaryBy(), Labels: maps.Clone(plan.GetLabels()),
		Bands: plan.GetBands(), StartedAt: by.Now.UnixMicro(), Author: by.Author, Reason: by.Reason,
	}
	enter(spec, steps[0], rulesv1.Transition_KIND_STARTED, by)
	return nil
}

// checkPlan finds what the schema's rules cannot say.
func checkPlan(plan *rulesv1.StartRolloutRequest) error {
	last := rulesv1.Stage_STAGE_UNSPECIFIED
	for i, step := range plan.GetSteps() {
		if err := checkStep(fmt.Sprintf("steps[%d]", i), step, plan.GetCanaryBy(), plan.GetLabels()); err != nil {
			return err
		}
		if step.GetStage() < last || last == rulesv1.Stage_STAGE_FULL {
			return fmt.Errorf("%w: steps[%d].stage: %s does not follow %s", ErrInvalid, i, stageName(step.GetStage()), stageName(last))
		}
		last = step.GetStage()
	}
	if low, high := plan.GetBands().GetMinDenyPpm(), plan.GetBands().GetMaxDenyPpm(); high > 0 && low > high {
		return fmt.Errorf("%w: bands.min_deny_ppm: %d is above max_deny_ppm %d", ErrInvalid, low, high)
	}
	return nil
}

func checkStep(path string, step *rulesv1.Step, by string, labels map[string]string) error {
	switch share := step.GetCanaryPpm(); {
	case step.GetStage() != rulesv1.Stage_STAGE_CANARY:
		return nil
	case share == 0 && len(labels) == 0:
		return fmt.Errorf("%w: %s.canary_ppm: a canary needs a share, or labels", ErrInvalid, path)
	case share > 0 && share < 1_000_000 && by == "":
		return fmt.Errorf("%w: canary_by: a share needs the field of the fact that chooses", ErrInvalid)
	}
	return nil
}

// promote goes to a step, to the next one where it is nil.
func promote(spec *rulesv1.Ruleset, step *rulesv1.Step, by By) error {
	rollout := spec.GetRollout()
	if !isRunning(spec) {
		return fmt.Errorf("%w: no rollout runs", ErrState)
	}
	if rollout.GetStep().GetStage() == rulesv1.Stage_STAGE_FULL {
		if step != nil {
			return fmt.Errorf("%w: step: %s is in force already", ErrState, rollout.GetVersion())
		}
		complete(spec, by)
		return nil
	}
	if step == nil {
		step = &rulesv1.Step{Stage: rulesv1.Stage_STAGE_FULL}
		if next := rollout.GetNext(); len(next) > 0 {
			step, rollout.Next = next[0], next[1:]
		}
	} else if err := checkStep("step", step, rollout.GetCanaryBy(), rollout.GetLabels()); err != nil {
		return err
	} else {
		rollout.Next = slices.DeleteFunc(rollout.GetNext(), func(later *rulesv1.Step) bool {
			return later.GetStage() < step.GetStage() || later.GetStage() == step.GetStage() && later.GetCanaryPpm() <= step.GetCanaryPpm()
		})
	}
	enter(spec, step, rulesv1.Transition_KIND_PROMOTED, by)
	return nil
}

// enter puts the rollout's version into a step.
func enter(spec *rulesv1.Ruleset, step *rulesv1.Step, kind rulesv1.Transition_Kind, by By) {
	rollout := spec.GetRollout()
	rollout.Step, rollout.StepStartedAt = proto.CloneOf(step), by.Now.UnixMicro()
	if step.GetStage() == rulesv1.Stage_STAGE_FULL {
		if former := spec.GetLiveVersion(); former != "" {
			spec.PreviousVersions = slices.Insert(spec.GetPreviousVersions(), 0, former)
			spec.PreviousVersions = spec.PreviousVersions[:min(len(spec.PreviousVersions), maxHistory)]
		} else {
			rollout.Step.HoldSeconds = 0 // there is nothing to compare with
		}
		spec.LiveVersion, spec.Source, rollout.Next = rollout.GetVersion(), "", nil
		if rollout.GetStep().GetHoldSeconds() == 0 {
			rollout.State = rulesv1.Rollout_STATE_COMPLETED
		}
	}
	note(spec, kind, rollout.GetStep(), by)
}

// complete ends the comparison of a version that is in force.
func complete(spec *rulesv1.Ruleset, by By) {
	spec.Rollout.State = rulesv1.Rollout_STATE_COMPLETED
	note(spec, rulesv1.Transition_KIND_COMPLETED, spec.GetRollout().GetStep(), by)
}

// rollback takes the rollout's version back or, where none is on its way,
// puts the version before in force, or the given one.
func rollback(spec *rulesv1.Ruleset, to string, by By) error {
	rollout := spec.GetRollout()
	early := isRunning(spec) && rollout.GetStep().GetStage() != rulesv1.Stage_STAGE_FULL
	if early && to == "" {
		endRollout(rollout, by)
		note(spec, rulesv1.Transition_KIND_ROLLED_BACK, nil, by)
		return nil
	}
	previous := spec.GetPreviousVersions()
	if to == "" {
		if len(previous) == 0 {
			return fmt.Errorf("%w: no version was in force before", ErrState)
		}
		to = previous[0]
	}
	if to == spec.GetLiveVersion() {
		return fmt.Errorf("%w: to_version: %s is in force already", ErrState, to)
	}
	if i := slices.Index(previous, to); i >= 0 {
		spec.PreviousVersions = previous[i+1:]
	}
	if early || rollout.GetVersion() == spec.GetLiveVersion() {
		endRollout(rollout, by)
	}
	spec.LiveVersion, spec.Source = to, ""
	note(spec, rulesv1.Transition_KIND_ROLLED_BACK, nil, by)
	return nil
}

func endRollout(rollout *rulesv1.Rollout, by By) {
	if rollout != nil {
		rollout.State, rollout.Next, rollout.Reason = rulesv1.Rollout_STATE_ROLLED_BACK, nil, by.Reason
	}
}

// note adds to the log, from which the step is told.
func note(spec *rulesv1.Ruleset, kind rulesv1.Transition_Kind, step *rulesv1.Step, by By) {
	number := uint64(1)
	if n := len(spec.GetLog()); n > 0 {
		number = spec.GetLog()[n-1].GetNumber() + 1
	}
	spec.Log = append(spec.GetLog(), &rulesv1.Transition{
		Number: number, Kind: kind, Version: spec.GetRollout().GetVersion(), Stage: step.GetStage(), CanaryPpm: step.GetCanaryPpm(),
		LiveVersion: spec.GetLiveVersion(), Author: by.Author, Reason: by.Reason, At: by.Now.UnixMicro(),
	})
	spec.Log = spec.Log[max(0, len(spec.Log)-maxLog):]
}

// due tells whether the hold of a rollout's step has passed.
func due(rollout *rulesv1.Rollout, now time.Time) bool {
	hold := rollout.GetStep().GetHoldSeconds()
	return hold > 0 && now.UnixMicro() >= rollout.GetStepStartedAt()+int64(hold)*1_000_000
}

func stageName(stage rulesv1.Stage) string {
	switch stage {
	case rulesv1.Stage_STAGE_SHADOW:
		return "shadow"
	case rulesv1.Stage_STAGE_CANARY:
		return "canary"
	case rulesv1.Stage_STAGE_FULL:
		return "full"
	case rulesv1.Stage_STAGE_UNSPECIFIED:
	}
	return "nothing"
}
