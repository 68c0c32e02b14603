package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	"github.com/backlot-video/backlot/services/configstore/internal/manifest"
)

// canaryActs are what can be done with canaries.
var canaryActs = []string{"start", "status", "promote", "abort"}

// canaryFlags say how a canary goes.
type canaryFlags struct {
	steps, match  string
	hold          time.Duration
	rejections    int
	health        string
	badPercent    string
	badTimes, p99 string
	samples       int
	patience      time.Duration
	draft, why    string
	whole         bool
}

func (f *canaryFlags) register(set *config.Set, steps string) {
	set.String(&f.steps, steps, "", "`shares` of the instances that get it first, rising, as 5%,25%; one may have a time of its own, as 5%@1h")
	set.String(&f.match, "match", "", "`labels` that chosen instances have, as service=rules,zone=eu")
	set.Duration(&f.hold, "hold", 10*time.Minute, "`time` that each step lasts at least")
	set.Int(&f.rejections, "rejections", 0, "`instances` that may reject it before it is taken back")
	set.String(&f.health, "health", "rpc", "`name` of the counters that --max-bad, --max-bad-times and --max-p99-times are about")
	set.String(&f.badPercent, "max-bad", "", "`share` of bad ones above which it is taken back, as 1%")
	set.String(&f.badTimes, "max-bad-times", "", "how many `times` that of the other instances the share of bad ones may be, as 2")
	set.String(&f.p99, "max-p99-times", "", "how many `times` that of the other instances the 99th percentile of times may be")
	set.Int(&f.samples, "samples", 100, "`count` before anything is said of health, and without which a step does not end")
	set.Duration(&f.patience, "patience", 24*time.Hour, "longest `time` beyond --hold that a step may wait for acknowledgements or samples")
}

// plan reads the flags.
func (f *canaryFlags) plan() (*configstorev1.Plan, error) {
	if f.rejections < 0 || f.rejections > 10_000 || f.samples < 0 {
		return nil, errors.New("--rejections: from 0 to 10000; --samples: at least 0")
	}
	plan := &configstorev1.Plan{Rejections: uint32(f.rejections), Patience: durationpb.New(f.patience)} //nolint:gosec // bounded
	for text := range strings.SplitSeq(f.steps, ",") {
		share, hold, timed := strings.Cut(strings.TrimSpace(text), "@")
		ppm, err := percent(share)
		if err != nil || ppm == 0 {
			return nil, fmt.Errorf("canary: %q is no share above 0%% and of at most 100%%", share)
		}
		lasts := f.hold
		if timed {
			if lasts, err = time.ParseDuration(hold); err != nil || lasts < 0 {
				return nil, fmt.Errorf("canary: %q is no time", hold)
			}
		}
		plan.Steps = append(plan.Steps, &configstorev1.Plan_Step{SharePpm: ppm, Hold: durationpb.New(lasts)})
	}
	if f.match != "" {
		plan.Match = map[string]string{}
		for pair := range strings.SplitSeq(f.match, ",") {
			name, value, found := strings.Cut(strings.TrimSpace(pair), "=")
			if !found || name == "" {
				return nil, fmt.Errorf("--match: %q is not name=value", pair)
			}
			plan.Match[name] = value
		}
	}
	band, err := f.band()
	if band != nil {
		plan.Bands = []*configstorev1.Band{band}
	}
	return plan, err
}

// band is nil where nothing is said of health.
func (f *canaryFlags) band() (*configstorev1.Band, error) {
	if f.badPercent == "" && f.badTimes == "" && f.p99 == "" {
		return nil, nil
	}
	band := &configstorev1.Band{Health: f.health, Samples: uint64(f.samples)} //nolint:gosec // not negative
	var err error
	if f.badPercent != "" {
		if band.BadPpm, err = percent(f.badPercent); err != nil || band.BadPpm == 0 {
			return nil, fmt.Errorf("--max-bad: %q is no share above 0%% and of at most 100%%", f.badPercent)
		}
	}
	for _, one := range []struct {
		name, text string
		to         *float64
	}{{"max-bad-times", f.badTimes, &band.BadTimes}, {"max-p99-times", f.p99, &band.P99Times}} {
		if one.text == "" {
			continue
		}
		if *one.to, err = strconv.ParseFloat(one.text, 64); err != nil || !(*one.to > 0 && *one.to <= 1000) {
			return nil, fmt.Errorf("--%s: %q is no number above 0 and of at most 1000", one.name, one.text)
		}
	}
	return band, nil
}

// percent reads a share as parts per million: 2.5% or 2.5.
func percent(text string) (uint32, error) {
	share, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), "%"), 64)
	if err != nil || !(share >= 0 && share <= 100) {
		return 0, errors.New("no share")
	}
	return uint32(math.Round(share * 10_000)), nil
}

func (s *store) canaries() configstorev1connect.CanaryServiceClient {
	return configstorev1connect.NewCanaryServiceClient(s.Client, s.URL)
}

func canaryVerb() tool.Verb {
	return tool.Verb{
		Name: "canary", Args: "[start FILE... | status [ID] | promote ID | abort ID]", About: "gives a release to some instances first, and shows how they fare",
		More: "It goes from step to step by itself, and at the end becomes a release for all. It is taken back when more than --rejections\n" +
			"instances reject it, or when their health leaves its band, and ends when somebody else changes its objects. promote goes to\n" +
			"the next step at once, with --whole to the release. `apply --canary` is start.",
		Examples: []string{
			"canary start list.yaml --steps 5%,25%,100% --hold 10m", "canary start --draft ID --steps 10% --match zone=eu",
			"canary start list.yaml --steps 5%@1h,50% --max-bad 1% --max-bad-times 2", "canary", "canary status ID", "canary promote ID --whole", "canary abort ID --reason 'too slow'",
		},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			f, flags := &files{}, &canaryFlags{}
			f.registerFiles(set, std)
			flags.register(set, "steps")
			set.String(&flags.draft, "draft", "", "`ID` of a draft, instead of files")
			set.String(&flags.why, "reason", "", "`why`; it is kept in the history")
			set.Bool(&flags.whole, "whole", false, "pass over the steps that are left")
			return f.known(func(args []string) error { return checkCanary(args, flags) }, func(ctx context.Context, args []string) error {
				if len(args) == 0 {
					args = []string{"status"}
				}
				return f.canaryAct(ctx, args[0], args[1:], flags)
			})
		},
	}
}

func checkCanary(args []string, flags *canaryFlags) error {
	switch {
	case len(args) == 0:
		return nil
	case !slices.Contains(canaryActs, args[0]):
		return errors.New("want one of " + strings.Join(canaryActs, ", ") + "; try --help")
	case args[0] == "start":
		if (flags.draft == "") != (len(args) > 1) {
			return errors.New("want files, folders or -, or a --draft; try --help")
		}
		if flags.steps == "" {
			return errors.New("want --steps, as 5%,25%,100%; try --help")
		}
		_, err := flags.plan()
		return err
	case len(args) > 2 || args[0] != "status" && len(args) != 2:
		return errors.New("want the ID of a canary; try --help")
	}
	return nil
}

func (f *files) canaryAct(ctx context.Context, act string, args []string, flags *canaryFlags) error {
	switch act {
	case "start":
		return f.startCanary(ctx, args, flags)
	case "promote":
		response, err := f.canaries().PromoteCanary(ctx, &configstorev1.PromoteCanaryRequest{Id: args[0], Whole: flags.whole})
		if err != nil {
			return err
		}
		return f.moved(response.GetCanary())
	case "abort":
		response, err := f.canaries().AbortCanary(ctx, &configstorev1.AbortCanaryRequest{Id: args[0], Reason: flags.why})
		if err != nil {
			return err
		}
		return f.moved(response.GetCanary())
	}
	if len(args) == 1 {
		return f.showCanary(ctx, args[0])
	}
	return f.listCanaries(ctx)
}

func (f *files) startCanary(ctx context.Context, paths []string, flags *canaryFlags) error {
	request := &configstorev1.StartCanaryRequest{DraftId: flags.draft, Reason: flags.why}
	var err error
	if request.Plan, err = flags.plan(); err != nil {
		return err
	}
	if flags.draft == "" {
		p, err := f.plan(ctx, paths)
		if err != nil {
			return err
		}
		if len(p.changes) == 0 {
			_, err := fmt.Fprintln(f.std.Out, "nothing differs")
			return err
		}
		request.Changes = p.changes
		if err := p.show(f.std.Out); err != nil {
			return err
		}
	}
	response, err := f.canaries().StartCanary(ctx, request)
	if err != nil {
		return err
	}
	return f.moved(response.GetCanary())
}

// moved tells what a canary has become.
func (s *store) moved(c *configstorev1.Canary) error {
	if s.json {
		return tool.WriteJSON(s.std.Out, c)
	}
	_, err := fmt.Fprintf(s.std.Out, "canary %s %s\n", c.GetId(), standing(c))
	return err
}

// standing is where a canary is, in words.
func standing(c *configstorev1.Canary) string {
	if c.GetState() != configstorev1.Canary_STATE_RUNNING {
		state := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(c.GetState().String(), "STATE_")), "_", " ")
		if c.GetReleaseId() != "" {
			return state + ", release " + c.GetReleaseId()
		}
		return state + ": " + tool.Printable(c.GetVerdict())
	}
	steps := c.GetPlan().GetSteps()
	return fmt.Sprintf("step %d of %d, %s of the instances", c.GetStep()+1, len(steps), share(steps[min(int(c.GetStep()), len(steps)-1)].GetSharePpm()))
}

func share(ppm uint32) string { return strconv.FormatFloat(float64(ppm)/10_000, 'f', -1, 64) + "%" }

func (s *store) listCanaries(ctx context.Context) error {
	response, err := s.canaries().ListCanaries(ctx, &configstorev1.ListCanariesRequest{})
	if err != nil {
		return err
	}
	if s.json {
		return tool.WriteJSON(s.std.Out, response)
	}
	rows := [][]string{{"CANARY", "WHEN", "WHO", "STANDING", "WHY"}}
	for _, c := range response.GetCanaries() {
		rows = append(rows, []string{c.GetId(), moment(c.GetCreatedAt()), c.GetAuthor(), standing(c), c.GetReason()})
	}
	return tool.WriteTable(s.std.Out, rows)
}

func (s *store) showCanary(ctx context.Context, id string) error {
	response, err := s.canaries().GetCanary(ctx, &configstorev1.GetCanaryRequest{Id: id})
	if err != nil {
		return err
	}
	if s.json {
		return tool.WriteJSON(s.std.Out, response)
	}
	return writeCanary(s.std.Out, response)
}

func writeCanary(w io.Writer, response *configstorev1.GetCanaryResponse) error {
	c, e := response.GetCanary(), response.GetEvidence()
	lines := []string{fmt.Sprintf("canary %s by %s: %s", c.GetId(), c.GetAuthor(), tool.Printable(c.GetReason())), standing(c)}
	for _, change := range c.GetChanges() {
		if key := change.GetDelete(); key != nil {
			lines = append(lines, "deletes  "+manifest.Title(key))
		} else {
			lines = append(lines, "puts     "+manifest.Title(change.GetPut().GetKey()))
		}
	}
	for _, one := range c.GetNotes() {
		who := one.GetAuthor()
		if who == "" {
			who = "by itself"
		}
		lines = append(lines, fmt.Sprintf("%s  %s  %s", moment(one.GetAt()), who, tool.Printable(one.GetText())))
	}
	if e != nil {
		lines = append(lines, fmt.Sprintf("chosen %d: %d accepted, %d rejected; others %d", e.GetChosen(), e.GetAccepted(), e.GetRejected(), e.GetOthers()))
		for _, m := range e.GetMeasures() {
			lines = append(lines, fmt.Sprintf("%s: %d good, %d bad, p99 %v; others %d good, %d bad, p99 %v", m.GetHealth(),
				m.GetGood(), m.GetBad(), m.GetP99().AsDuration(), m.GetOthersGood(), m.GetOthersBad(), m.GetOthersP99().AsDuration()))
		}
		for _, one := range e.GetRejecting() {
			for _, r := range one.GetRejected() {
				lines = append(lines, tool.Printable(fmt.Sprintf("%s rejects %s: %s", one.GetSubscriber().GetId(), r.GetName(), r.GetReason())))
			}
		}
		if e.GetWaitsFor() != "" {
			lines = append(lines, "waits for "+tool.Printable(e.GetWaitsFor()))
		}
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
