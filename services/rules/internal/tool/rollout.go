package tool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

var promoteVerb = Verb{
	Name: "promote", Args: "RULESET",
	About: "goes to the next step of a release, or to a given one",
	Examples: []string{
		"promote payments --reason 'a day without surprises'",
		"promote payments --stage canary=25%",
		"promote payments --stage 'full for 1h'",
	},
	Run: func(ctx context.Context, verb *Verb, args []string, std *Stdio) int {
		return runSteered(ctx, verb, args, std, (*releaser).promote)
	},
}

var rollbackVerb = Verb{
	Name: "rollback", Args: "RULESET",
	About: "ends a release or, where none runs, puts the version before in force",
	Examples: []string{
		"rollback payments --reason 'too many good orders denied'",
		"rollback payments --to payments.54d371d7ee2c --reason 'the last one that worked'",
	},
	Run: func(ctx context.Context, verb *Verb, args []string, std *Stdio) int {
		return runSteered(ctx, verb, args, std, (*releaser).rollback)
	},
}

var statusVerb = Verb{
	Name: "status", Args: "RULESET",
	About:    "shows what of a ruleset is in force, its release and its versions",
	Examples: []string{"status payments"},
	Run: func(ctx context.Context, verb *Verb, args []string, std *Stdio) int {
		return runSteered(ctx, verb, args, std, (*releaser).status)
	},
}

// steer is a run of promote, rollback or status.
type steer func(r *releaser, ctx context.Context, to string) error

func runSteered(ctx context.Context, verb *Verb, args []string, std *Stdio, do steer) int {
	set := config.New(verb.Name)
	r := &releaser{std: std}
	r.Register(set)
	to := ""
	switch verb.Name {
	case "promote":
		set.Value(&r.stages, "stage", "`step` to go to: canary=25%, full for 1h; empty: the next one")
	case "rollback":
		set.String(&to, "to", "", "`version` to put in force; empty: the one before")
	}
	if verb.Name != "status" {
		set.String(&r.reason, "reason", "", "`why`; kept in the release")
	}
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	if len(rest) != 1 {
		return std.fail(verb, errors.New("want one RULESET"))
	}
	r.ruleset = rest[0]
	err := r.SignIn(ctx)
	if err == nil {
		err = do(r, ctx, to)
	}
	if err != nil {
		code = std.fail(verb, tool.Plain(err))
		if errors.Is(err, errNotInForce) {
			return exitFaults
		}
		return code
	}
	return exitOK
}

func (r *releaser) promote(ctx context.Context, _ string) error {
	request := &rulesv1.PromoteRequest{Ruleset: r.ruleset, Reason: r.reason}
	if len(r.stages) > 1 {
		return errors.New("--stage: want one step")
	}
	for _, text := range r.stages {
		step, by, err := parseStep(text)
		if err == nil && by != "" {
			err = errors.New("the field that chooses stays that of the release")
		}
		if err != nil {
			return fmt.Errorf("--stage: %w", err)
		}
		request.Step = step
	}
	response, err := r.releases().Promote(ctx, request)
	if err != nil {
		return err
	}
	return r.settled(ctx, response.GetRuleset())
}

func (r *releaser) rollback(ctx context.Context, to string) error {
	if r.reason == "" {
		return errors.New("--reason: say why; it is kept")
	}
	response, err := r.releases().Rollback(ctx, &rulesv1.RollbackRequest{Ruleset: r.ruleset, ToVersion: to, Reason: r.reason})
	if err != nil {
		return err
	}
	return r.settled(ctx, response.GetRuleset())
}

// settled waits until the asked replica has taken a step up, and tells of it.
func (r *releaser) settled(ctx context.Context, spec *rulesv1.Ruleset) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	last := func(spec *rulesv1.Ruleset) uint64 { return spec.GetLog()[max(0, len(spec.GetLog())-1)].GetNumber() }
	for {
		got, err := r.releases().GetRuleset(ctx, &rulesv1.GetRulesetRequest{Ruleset: r.ruleset})
		switch status := got.GetStatus(); {
		case err != nil && connect.CodeOf(err) != connect.CodeNotFound: // a new ruleset may not have arrived
			return err
		case len(got.GetRuleset().GetLog()) == 0 || last(got.GetRuleset()) < last(spec):
		case status.GetRejected() != "":
			return fmt.Errorf("%w: %s", errNotInForce, status.GetRejected())
		case status.GetVersion() == spec.GetLiveVersion():
			return r.tell(spec)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: it did not come within %v", errNotInForce, r.Timeout)
		}
	}
}

func (r *releaser) status(ctx context.Context, _ string) error {
	got, err := r.releases().GetRuleset(ctx, &rulesv1.GetRulesetRequest{Ruleset: r.ruleset})
	if connect.CodeOf(err) == connect.CodeNotFound {
		return r.absent(ctx)
	}
	if err != nil {
		return err
	}
	if neverReleased(got.GetRuleset()) {
		err = r.unreleased(r.std.Out, got)
	} else {
		err = r.tell(got.GetRuleset())
	}
	if err != nil {
		return err
	}
	var b strings.Builder
	if s := got.GetStatus(); s.GetRejected() != "" {
		fmt.Fprintf(&b, "this replica: version %s; %s\n", cmp.Or(s.GetVersion(), "none"), s.GetRejected())
	}
	writeReport(&b, got.GetReport())
	for _, step := range got.GetRuleset().GetLog() {
		fmt.Fprintf(&b, "%s  %s %s%s by %s: %s\n", time.UnixMicro(step.GetAt()).UTC().Format(time.RFC3339), word(step.GetKind().String(), "KIND_"),
			step.GetVersion(), stageText(step.GetStage(), step.GetCanaryPpm()), step.GetAuthor(), step.GetReason())
	}
	_, err = fmt.Fprint(r.std.Out, b.String())
	return err
}

// tell says in one or two lines how far a ruleset is released.
func (r *releaser) tell(spec *rulesv1.Ruleset) error {
	live := spec.GetLiveVersion()
	if live == "" {
		live = "the source in its Ruleset object"
	}
	text := fmt.Sprintf("%s: %s is in force\n", r.ruleset, live)
	if rollout := spec.GetRollout(); rollout != nil {
		text += fmt.Sprintf("release of %s: %s", rollout.GetVersion(), word(rollout.GetState().String(), "STATE_"))
		if rollout.GetState() == rulesv1.Rollout_STATE_RUNNING {
			text += stageText(rollout.GetStep().GetStage(), rollout.GetStep().GetCanaryPpm())
			for _, next := range rollout.GetNext() {
				text += ", then" + stageText(next.GetStage(), next.GetCanaryPpm())
			}
		}
		text += fmt.Sprintf(" (%s)\n", rollout.GetReason())
	}
	_, err := fmt.Fprint(r.std.Out, text)
	return err
}

func stageText(stage rulesv1.Stage, ppm uint32) string {
	if stage == rulesv1.Stage_STAGE_UNSPECIFIED {
		return ""
	}
	text := " " + word(stage.String(), "STAGE_")
	if ppm > 0 {
		text += fmt.Sprintf(" %g%%", float64(ppm)/10_000)
	}
	return text
}

// word makes `rolled back` of STATE_ROLLED_BACK.
func word(name, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", " "))
}

// writeReport shows what a replica saw of the two versions.
func writeReport(b *strings.Builder, report *rulesv1.RolloutReport) {
	if report == nil {
		return
	}
	if report.GetProblem() != "" {
		fmt.Fprintf(b, "problem: %s\n", report.GetProblem())
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "since the step began\tfacts\tanswered\terrors\tdenied\tp99\t")
	for _, side := range []struct {
		name string
		t    *rulesv1.Tally
	}{{"candidate", report.GetCandidate()}, {"other", report.GetLive()}} {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.1fus\t\n", side.name, side.t.GetFacts(), side.t.GetAnswered(), side.t.GetErrors(), side.t.GetDenied(), side.t.GetP99Micros())
	}
	_ = w.Flush()
	for _, change := range report.GetChanges() {
		fmt.Fprintf(b, "%s becomes %s: %d facts\n", word(change.GetLive().String(), "ACTION_"), word(change.GetCandidate().String(), "ACTION_"), change.GetFacts())
	}
}
