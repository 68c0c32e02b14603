package tool

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/folder"
	"github.com/backlot-video/backlot/services/rules/internal/release"
)

var releaseVerb = Verb{
	Name: "release", Args: "FILE",
	About: "brings a ruleset into force in a running Backlot, step by step",
	Examples: []string{
		"release payments.rules --stage shadow --reason 'new cards rule'",
		"release payments.rules --stage 'shadow for 1h, canary=1% by viewer_id for 10m, canary=10% for 30m, full for 1h' --reason cards",
		"release payments.rules --stage canary --label ring=early --reason 'our own people first'",
		"release payments.rules --stage full --reason 'an emergency'",
		"release payments.rules --reason draft   # without --stage it is only checked and kept",
	},
	Run: runRelease,
}

// errRefused is a source that has faults.
var errRefused = errors.New("the source was refused; what is in force stays")

// releaser is one run of the verb.
type releaser struct {
	remote
	ruleset, fact, reason string
	stages, labels        repeated
	bands                 bands
	std                   *Stdio
}

// bands are flags; rates are in percent.
type bands struct {
	errors, minDeny, maxDeny, denyShift float64
	p99, window                         time.Duration
	sample                              int
}

func (b *bands) register(set *config.Set) {
	set.Float(&b.errors, "max-errors", 0, "most `percent` of facts that fail, above the version in force; 0: 1%")
	set.Float(&b.minDeny, "min-deny", 0, "least `percent` of denied facts; 0: any")
	set.Float(&b.maxDeny, "max-deny", 0, "most `percent` of denied facts; 0: any")
	set.Float(&b.denyShift, "max-deny-shift", 0, "most `points` of percent that the share of denied facts differs from the version in force; 0: 10")
	set.Duration(&b.p99, "max-p99", 0, "longest `time` to judge 99 of 100 facts; 0: 10ms")
	set.Duration(&b.window, "window", 0, "`time` over which all that is looked at; 0: 1m")
	set.Int(&b.sample, "min-sample", 0, "`facts` before anything is judged, or promoted by itself; 0: 100")
}

func (b *bands) proto() *rulesv1.Bands {
	ppm := func(percent float64) uint32 { return uint32(percent*10_000 + 0.5) }
	return &rulesv1.Bands{
		MaxErrorPpm: ppm(b.errors), MinDenyPpm: ppm(b.minDeny), MaxDenyPpm: ppm(b.maxDeny), MaxDenyShiftPpm: ppm(b.denyShift),
		MaxP99Micros: uint32(b.p99.Microseconds()), WindowSeconds: uint32(b.window.Seconds()), MinSample: uint32(b.sample),
	}
}

func (b *bands) validate() error {
	for name, percent := range map[string]float64{"max-errors": b.errors, "min-deny": b.minDeny, "max-deny": b.maxDeny, "max-deny-shift": b.denyShift} {
		if percent < 0 || percent > 100 {
			return fmt.Errorf("--%s: want 0 to 100 percent", name)
		}
	}
	if b.p99 < 0 || b.window < 0 || b.sample < 0 {
		return errors.New("--max-p99, --window, --min-sample: below 0")
	}
	return nil
}

func runRelease(ctx context.Context, verb *Verb, args []string, std *Stdio) int {
	set := config.New(verb.Name)
	r := &releaser{std: std}
	r.Register(set)
	r.bands.register(set)
	set.Value(&r.stages, "stage", "`steps`, with commas between: shadow, canary=5% by FIELD, full; each may end with `for 10m`, after which the next follows by itself")
	set.Value(&r.labels, "label", "`name=value` that a canary's requests or replicas have; may be repeated")
	set.String(&r.ruleset, "ruleset", "", "`name` of the ruleset; empty: that of the file")
	set.String(&r.fact, "fact", "", "full `name` of the message of the facts; empty: as the source says in # fact: NAME, else that of the ruleset")
	set.String(&r.reason, "reason", "", "`why`; kept in the release")
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	if len(rest) != 1 {
		return std.fail(verb, errors.New("want one FILE, or - for the standard input"))
	}
	if err := r.run(ctx, rest[0]); err != nil {
		code = std.fail(verb, tool.Plain(err))
		if errors.Is(err, errRefused) || errors.Is(err, errNotInForce) {
			return exitFaults
		}
		return code
	}
	return exitOK
}

func (r *releaser) run(ctx context.Context, path string) error {
	request, err := r.request()
	if err != nil {
		return err
	}
	if r.ruleset == "" {
		if path == "-" {
			return errors.New("--ruleset: the standard input has no name")
		}
		r.ruleset = strings.TrimSuffix(filepath.Base(path), ".rules")
	}
	source, err := readAll(path, r.std.In)
	if err != nil {
		return err
	}
	if r.fact == "" {
		r.fact = folder.FactType(source)
	}
	packed, err := release.Pack(string(source))
	if err != nil {
		return err
	}
	if err := r.SignIn(ctx); err != nil {
		return err
	}
	draft, err := r.releases().CreateVersion(ctx, &rulesv1.CreateVersionRequest{
		Ruleset: r.ruleset, FactType: r.fact, Reason: r.reason, Content: &rulesv1.CreateVersionRequest_SourceGzip{SourceGzip: packed},
	})
	if err != nil {
		return err
	}
	for _, d := range draft.GetDiagnostics() {
		_, _ = fmt.Fprintln(r.std.Out, d.GetRendered())
	}
	if draft.GetVersion() == "" {
		return errRefused
	}
	_, err = fmt.Fprintf(r.std.Out, "%s: %d rules, %d tests passed\n", draft.GetVersion(), draft.GetRules(), draft.GetTests())
	if err != nil || len(request.GetSteps()) == 0 {
		return err
	}
	request.Version = draft.GetVersion()
	started, err := r.releases().StartRollout(ctx, request)
	if err != nil {
		return err
	}
	return r.settled(ctx, started.GetRuleset())
}

// request reads the flags of a rollout.
func (r *releaser) request() (*rulesv1.StartRolloutRequest, error) {
	request := &rulesv1.StartRolloutRequest{Bands: r.bands.proto(), Reason: r.reason, Labels: map[string]string{}}
	if err := r.bands.validate(); err != nil {
		return nil, err
	}
	for _, text := range r.stages {
		step, by, err := parseStep(text)
		if err != nil {
			return nil, fmt.Errorf("--stage: %w", err)
		}
		if by != "" && request.CanaryBy != "" && by != request.CanaryBy {
			return nil, fmt.Errorf("--stage: canaries by %s and by %s; one field chooses for all steps", request.CanaryBy, by)
		}
		if by != "" {
			request.CanaryBy = by
		}
		request.Steps = append(request.Steps, step)
	}
	for _, text := range r.labels {
		name, value, found := strings.Cut(text, "=")
		if !found {
			return nil, fmt.Errorf("--label: want name=value, found %q", text)
		}
		request.Labels[name] = value
	}
	if r.reason == "" && len(request.Steps) > 0 {
		return nil, errors.New("--reason: say why; it is kept")
	}
	return request, nil
}

// parseStep reads `canary=5% by viewer_id for 10m`.
func parseStep(text string) (step *rulesv1.Step, by string, err error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, "", errors.New("a step is empty")
	}
	step = &rulesv1.Step{}
	stage, share, shared := strings.Cut(words[0], "=")
	switch stage {
	case "shadow":
		step.Stage = rulesv1.Stage_STAGE_SHADOW
	case "canary":
		step.Stage = rulesv1.Stage_STAGE_CANARY
	case "full":
		step.Stage = rulesv1.Stage_STAGE_FULL
	default:
		return nil, "", fmt.Errorf("%q is not shadow, canary or full", stage)
	}
	if shared {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(share, "%"), 64)
		if err != nil || stage != "canary" || !strings.HasSuffix(share, "%") || percent <= 0 || percent > 100 {
			return nil, "", fmt.Errorf("%q: want canary=5%%, above 0 and up to 100", words[0])
		}
		step.CanaryPpm = uint32(percent*10_000 + 0.5)
	}
	for words = words[1:]; len(words) > 0; words = words[2:] {
		switch {
		case len(words) > 1 && words[0] == "by" && stage == "canary":
			by = words[1]
		case len(words) > 1 && words[0] == "for":
			hold, err := time.ParseDuration(words[1])
			if err != nil || hold < time.Second || hold > 30*24*time.Hour {
				return nil, "", fmt.Errorf("%q: want a time from 1s to 720h", words[1])
			}
			step.HoldSeconds = uint32(hold.Seconds())
		default:
			return nil, "", fmt.Errorf("%q: want `by FIELD` or `for TIME` after the stage", strings.Join(words, " "))
		}
	}
	return step, by, nil
}
